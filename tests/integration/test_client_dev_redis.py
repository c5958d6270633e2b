"""The Redis of `fluxqueue dev`: the one that runs already, one that it starts, or a line that
says why there is none.

Each test has its own network, in which it decides what listens.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.dev_command import dev, lines_until, ready, rest
from support.private_network import in_network_of, listening, redis_in


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--requirepass", "geheim"], "it wants a password; put that into the URL"),
        (["--replicaof", "127.0.0.1 1"], "it is a replica, which takes no tasks"),
        (["--cluster-enabled", "yes"], "write redis+cluster://127.0.0.1:6379"),
    ],
)
def test_dev_says_why_it_can_not_use_a_redis(
    dev_folder: Path, network: int, options: list[str], reason: str
) -> None:
    with (
        listening(network, *redis_in(dev_folder, *options)),
        dev(dev_folder, network=network) as process,
    ):
        [line] = rest(process)
        assert line.startswith("fluxqueue dev: can't use what listens at redis://127.0.0.1:6379/0")
        assert reason in line
        assert process.returncode == 2


OTHER_SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 6379))
while True:
    connection, _ = server.accept()
    connection.sendall({reply!r})
    {then}
"""


@pytest.mark.parametrize(
    ("reply", "then", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "connection.close()", "it is not a Redis; stop"),
        (b"", "connection.close()", "it does not answer like a Redis without TLS; stop it"),
        (b"", "kept = connection", "it does not answer like a Redis without TLS; stop it"),
        (b"-DENIED protected\r\n", "connection.close()", "it answers 'DENIED protected'; stop"),
    ],
)
def test_dev_says_what_else_listens_at_the_address(
    dev_folder: Path, network: int, reply: bytes, then: str, reason: str
) -> None:
    source = OTHER_SERVER.format(reply=reply, then=then)
    with (
        listening(network, sys.executable, "-c", source),
        dev(dev_folder, network=network) as process,
    ):
        [line] = rest(process)
        assert reason in line
        # The remedy: another port, at which it starts a Redis.
        variable = line.rpartition("export ")[2]
        assert variable == "FLUXQUEUE_REDIS_URL=redis://127.0.0.1:6380"
        assert process.returncode == 2
    name, _, url = variable.partition("=")
    with dev(dev_folder, network=network, **{name: url}) as process:
        found = ready(process)
        assert found["fluxqueue_worker"][1] == url
        assert any(f"Redis runs at {url}, its data in" in line for line in found["said"])
        process.terminate()
        rest(process)


def test_the_url_in_the_code_is_used(dev_folder: Path, network: int) -> None:
    url = "redis://127.0.0.1:7000/3?timeout=2"
    with dev(dev_folder, network=network, URL_IN_CODE=url) as process:
        found = ready(process)
        assert found["fluxqueue_worker"][1] == found["fluxqueue_scheduler"][1] == url
        assert any("Redis runs at redis://127.0.0.1:7000" in line for line in found["said"])
        process.terminate()
        rest(process)
    # On another machine it starts none.
    with dev(dev_folder, network=network, URL_IN_CODE="redis://u:geheim@h:1") as process:
        said = lines_until(process, "using the Redis at redis://h:1/0")
        assert "geheim" not in "".join(line for line in said if "ready" not in line)


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_url_that_is_given_is_used_and_its_redis_is_left_alone(
    dev_folder: Path, network: int, how: str
) -> None:
    url = "redis://127.0.0.1:6379/7"
    options = ["-r", url] if how == "flag" else []
    variables = {} if how == "flag" else {"FLUXQUEUE_REDIS_URL": url}
    # A URL that is given is the one to use: dev need not know the one in the code.
    variables["URL_IN_CODE"] = "redis://127.0.0.1:7000"
    with listening(network, *redis_in(dev_folder)) as server:
        with dev(dev_folder, *options, network=network, **variables) as process:
            found = ready(process)
            assert found["fluxqueue_worker"][1] == url
            told = [line for line in found["said"] if f"export FLUXQUEUE_REDIS_URL={url}" in line]
            assert len(told) == (how == "flag")
            process.terminate()
            rest(process)
        assert server.poll() is None
    assert not (dev_folder / ".fluxqueue").exists()


def test_two_share_the_redis_that_the_first_has_started(dev_folder: Path, network: int) -> None:
    with dev(dev_folder, network=network) as process:
        first = ready(process)
        with dev(dev_folder, network=network) as second:
            found = ready(second)
            assert found["fluxqueue_worker"][1] == first["fluxqueue_worker"][1]
            assert any("using the Redis that runs at" in line for line in found["said"])
            second.terminate()
            rest(second)
        process.terminate()
        rest(process)


REFUSED = {
    "redis://:geheim@localhost:6379/2": "redis://localhost:6379/2, {} with a password;",
    "redis://u:geheim@127.0.0.1": "redis://127.0.0.1:6379/0, {} with a password;",
    "rediss://localhost": "rediss://localhost:6379/0, {} with TLS;",
    "unix:///nowhere.sock": "unix:///nowhere.sock?db=0, {} at a socket in the file system;",
    "redis+cluster://localhost,[::1]:7": "redis+cluster://localhost:6379,[::1]:7, {} Cluster;",
    "redis+sentinel://localhost/shop": "redis+sentinel://localhost:26379/shop/0, {} behind Sen",
    "redis://[::1]": "redis://[::1]:6379/0, {} at ::1;",
    "redis://127.0.0.2": "redis://127.0.0.2:6379/0, {} at 127.0.0.2;",
    "redis://localhost/1024": "redis://localhost:6379/1024, {} with more than 1024 databases;",
}


@pytest.mark.parametrize("by", ["flag", "variable", "code"])
@pytest.mark.parametrize("url", REFUSED)
def test_dev_says_why_it_starts_no_redis_at_an_address_of_this_machine(
    dev_folder: Path, network: int, url: str, by: str
) -> None:
    options = ["-r", url] if by == "flag" else []
    names = {"variable": "FLUXQUEUE_REDIS_URL", "code": "URL_IN_CODE"}
    variables = {names[by]: url} if by in names else {}
    with dev(dev_folder, *options, network=network, **variables) as process:
        [line] = rest(process)
        assert process.returncode == 2
    why = REFUSED[url].format("and `fluxqueue dev` starts no Redis")
    assert line.startswith(f"fluxqueue dev: nothing listens at {why}")
    assert "geheim" not in line
    assert line.endswith("export FLUXQUEUE_REDIS_URL=redis://127.0.0.1:6379")
    assert not (dev_folder / ".fluxqueue").exists()


@pytest.mark.parametrize("kind", ["password", "socket", "another machine"])
def test_a_redis_that_it_would_not_start_is_used(dev_folder: Path, network: int, kind: str) -> None:
    path = dev_folder / "a.sock"
    url, shown = {
        "password": ("redis://:geheim@localhost", "redis://localhost:6379/0"),
        "socket": (f"unix://{path}", f"unix://{path}?db=0"),
        "another machine": ("redis://shop.example", "redis://shop.example:6379/0"),
    }[kind]
    options = ["--unixsocket", str(path), "--requirepass", "geheim"]
    with (
        listening(network, *redis_in(dev_folder, *options)),
        dev(dev_folder, "-r", url, network=network) as process,
    ):
        found = ready(process)
        assert f"fluxqueue dev: using the Redis at {shown}" in found["said"]
        assert found["fluxqueue_worker"][1] == url
    assert not (dev_folder / ".fluxqueue").exists()


ENQUEUE = """
from fluxqueue import FluxQueue
FluxQueue("{url}").task(name="x")(lambda: None)()
"""


def test_its_redis_has_databases_beyond_16_and_keeps_them(dev_folder: Path, network: int) -> None:
    url = "redis://localhost:6379/99"
    with dev(dev_folder, "-r", url, network=network) as process:
        assert ready(process)["fluxqueue_worker"][1] == url
        enqueue = [sys.executable, "-c", ENQUEUE.format(url=url)]
        subprocess.run(in_network_of(network, enqueue), check=True)
        process.terminate()
        rest(process)
    # With 16 databases it could not read its file.
    with dev(dev_folder, network=network) as process:
        ready(process)
        process.terminate()
        rest(process)
        assert process.returncode == 0


def test_a_redis_without_the_database_is_not_used(dev_folder: Path, network: int) -> None:
    with (
        listening(network, *redis_in(dev_folder)),
        dev(dev_folder, "-r", "redis://localhost/99", network=network) as process,
    ):
        [line] = rest(process)
        assert process.returncode == 2
    assert "can't use what listens at redis://localhost:6379/99: it answers 'ERR" in line


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_localhost_is_asked_at_both_of_its_addresses(dev_folder: Path, network: int) -> None:
    source = OTHER_SERVER.replace('("127.0.0.1", 6379)', '("::1", 6379), family=socket.AF_INET6')
    source = source.format(reply=b"HTTP/1.1 400 Bad Request\r\n\r\n", then="connection.close()")
    server = listening(network, sys.executable, "-c", source, address="::1")
    with server, dev(dev_folder, "-r", "redis://localhost", network=network) as process:
        [line] = rest(process)
        assert process.returncode == 2
    assert "can't use what listens at redis://localhost:6379/0: it is not a Redis" in line
