"""A Redis that refuses the login: each command of an operator says why and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from fluxqueue.cli import main
from redis.exceptions import ConnectionError
from support.ports import free_ports
from support.redis_process import RedisProcess
from support.waiting import wait_until

PASSWORD, WRONG = "geheim-x7vz", "falsch-k3pq"
COMMANDS = [
    ["cancel", "order-17"],
    ["queues"],
    ["workers"],
    ["tasks"],
    ["task", "order-17"],
    ["dead", "list"],
    ["pause", "q"],
    ["resume", "q"],
    ["purge", "q", "dead"],
    ["limits", "list"],
    ["periodic", "list"],
    ["search", "text"],
    ["audit"],
    ["job", "list"],
    ["strike", "list"],
    ["doctor"],
    ["watch"],
]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a password; its host and port."""
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("locked") / "redis"
    server = RedisProcess(folder, port, {"save": ""}, password=PASSWORD)
    server.launch()
    try:
        wait_until(lambda: _answers(server))
        yield server.address
    finally:
        server.kill()


def _answers(server: RedisProcess) -> bool:
    with suppress(ConnectionError):
        return bool(server.client.ping())
    return False


def refused(capsys: pytest.CaptureFixture[str], url: str, words: list[str]) -> str:
    """Runs a command that Redis refuses; returns what it says."""
    assert main([*words, "-r", url]) == 3
    out, said = capsys.readouterr()
    assert out == "" and said.startswith(f"fluxqueue {words[0]}") and said.count("\n") == 1
    assert not any(secret in said for secret in (WRONG, PASSWORD))
    return said


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_each_command_says_what_to_do_and_where(
    locked: str, redis_url: str, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    for url, advice in (
        (f"redis://{locked}", "put user and password into the URL"),
        (f"redis://:{WRONG}@{locked}", "look at user and password in the Redis URL"),
        (f"redis://bob:{WRONG}@{locked}", "look at user and password in the Redis URL"),
        (redis_url.replace("//", f"//:{WRONG}@"), "this Redis has no password: remove the one in"),
    ):
        said = refused(capsys, url, words)
        where = url.replace(f":{WRONG}@", "").replace("bob", "").partition("?")[0]
        assert advice in said
        assert f"the Redis URL is {where}" in said
        assert "set by -r or FLUXQUEUE_REDIS_URL" in said


def test_a_cancel_that_was_not_sent_is_said_not_to_be_noted(
    locked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, f"redis://:{WRONG}@{locked}", ["cancel", "one", "two"])
    assert "it is not cancelled" in said and "may be noted" not in said
    assert "of the tasks after it, 1 are not cancelled" in said
    assert main(["cancel", "one", "-r", "redis://127.0.0.1:1/0?timeout=0.1"]) == 3
    assert "it is not cancelled" in capsys.readouterr().err
