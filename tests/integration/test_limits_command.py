"""`fluxqueue limits` in a separate process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from fluxqueue_core.limits import limit_digest
from support import acl


def run(redis_url: str, action: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fluxqueue", "limits", action, "-r", redis_url, *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def app(redis_url: str) -> Iterator[FluxQueue]:
    """A client with tasks that wait: `work` of two keys, and `shared`."""
    client = FluxQueue(redis_url)
    work = client.task(name="work", concurrency=1, limit_key="a")(lambda a: None)
    work.enqueue_many([("acme",), ("acme",), ("acme",), ("else",)])
    shared = client.limit("shared", rate="100/m", concurrency=5)
    client.task(name="other", limit=shared)(lambda: None).enqueue()
    yield client
    client.close()


def declare(app: FluxQueue, name: str, rule: bytes) -> None:
    """Declares a limit, as a worker does."""
    arguments = [b"declare", b"300000", limit_digest(name).encode(), rule + f" {name}".encode()]
    assert app.broker.producer.limit_rules("default", arguments) == ["changed"]


def test_list_shows_rules_and_keys(app: FluxQueue, redis_url: str) -> None:
    declare(app, "shared", b"5:600000:1")
    done = run(redis_url, "list")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows == [
        ["LIMIT", "AT", "ONCE", "RATE", "BURST", "SET", "BY"],
        ["shared", "5", "100/m", "1", "code"],
        [],
        ["LIMIT", "KEY", "RUNNING", "READY", "WAITING"],
        ["work", "acme", "0", "1", "2"],
        ["shared", "-", "0", "1", "0"],
        ["work", "else", "0", "1", "0"],
    ]
    done = run(redis_url, "list", "shared")
    assert [line.split()[0] for line in done.stdout.splitlines() if line] == [
        "LIMIT",
        "shared",
        "LIMIT",
        "shared",
    ]


def test_json_is_one_object_per_line(app: FluxQueue, redis_url: str) -> None:
    declare(app, "shared", b"5:600000:1")
    lines = [json.loads(line) for line in run(redis_url, "list", "--json").stdout.splitlines()]
    rules = {"concurrency": 5, "rate": "100/m", "burst": 1}
    assert lines[0] == {
        "queue": "default",
        "limit": "shared",
        "rules": rules,
        "code": rules,
        "override": None,
    }
    [acme] = [line for line in lines if line.get("key") == "acme"]
    assert acme.pop("digest").startswith(limit_digest("work"))
    assert acme == {
        "queue": "default",
        "limit": "work",
        "key": "acme",
        "rules": {"concurrency": 1, "rate": None, "burst": 1},
        "running": 0,
        "ready": 1,
        "waiting": 2,
    }


def test_the_number_of_keys_is_bounded(app: FluxQueue, redis_url: str) -> None:
    done = run(redis_url, "list", "--keys", "1", "--json")
    assert len(done.stdout.splitlines()) == 1
    assert "give --keys a number above 1" in done.stderr
    assert run(redis_url, "list", "--keys", "0", "--json").stdout == ""


def test_set_changes_what_a_flag_says_and_clear_ends_it(
    app: FluxQueue, redis: Any, redis_url: str
) -> None:
    declare(app, "shared", b"5:600000:1")
    done = run(redis_url, "set", "shared", "--concurrency", "2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    expected = {"concurrency": 2, "rate": "100/m", "burst": 1}
    assert json.loads(done.stdout) == {"queue": "default", "limit": "shared", "rules": expected}
    done = run(redis_url, "set", "shared", "--rate", "none", "--burst", "3")
    assert done.stdout == "shared: 2 at once\n"
    assert "override" in run(redis_url, "list", "shared").stdout
    done = run(redis_url, "clear", "shared")
    assert (done.returncode, done.stdout) == (0, "shared: 5 at once, 100/m\n")
    # No worker declares this one: what its messages say is changed.
    assert run(redis_url, "set", "work", "--rate", "5/s").stdout == "work: 1 at once, 5/s\n"
    assert redis.hget(key("limits:rules", "default"), "o" + limit_digest("work")) == (
        b"1:200000:1 work"
    )
    # A fast rate has the burst that it needs, unless one is given.
    assert run(redis_url, "set", "work", "--rate", "1000/s").stdout == "work: 1 at once, 1000/s\n"
    assert redis.hget(key("limits:rules", "default"), "o" + limit_digest("work")) == (
        b"1:1053:51 work"
    )
    done = run(redis_url, "set", "work", "--burst", "2", "--json")
    expected = {"concurrency": 1, "rate": "1000/s", "burst": 2}
    assert json.loads(done.stdout)["rules"] == expected
    done = run(redis_url, "set", "work", "--rate", "100/s", "--json")
    expected = {"concurrency": 1, "rate": "100/s", "burst": None}
    assert json.loads(done.stdout)["rules"] == expected
    assert run(redis_url, "clear", "work").stdout == "work: as its messages say\n"


def test_a_limit_that_the_queue_does_not_have_is_exit_code_1(
    app: FluxQueue, redis_url: str
) -> None:
    for words in (("list", "none"), ("set", "none", "--rate", "1/s"), ("clear", "shared")):
        done = run(redis_url, *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"fluxqueue limits {words[0]}: queue 'default' has no" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "shared"), "set changes nothing; give --concurrency, --rate or --burst"),
        (("set", "shared", "--rate", "5"), "the rate is '5'; give a number"),
        (("set", "shared", "--concurrency", "0"), "'0' is not a number from 1 to 999999"),
        (("set", "shared", "--burst", "none"), "'none' is not a number from 1 to 999999"),
        (("list", "--keys", "-1"), "'-1' is not a number from 0"),
        (("list", "-q", "a{b"), "the queue name"),
        (("clear",), "the following arguments are required: NAME"),
    ],
)
def test_a_wrong_option_is_exit_code_2(redis_url: str, words: tuple[str, ...], said: str) -> None:
    done = run(redis_url, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_redis_that_does_not_answer_is_exit_code_3() -> None:
    done = run("redis://127.0.0.1:1", "list")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("fluxqueue limits: ") and len(done.stderr.splitlines()) == 1


def test_an_operator_needs_no_other_rights_than_those_of_the_page(
    server: EmbeddedRedis, admin: Any
) -> None:
    [rules, reading] = re.findall(
        r"(?:An operator runs .*?|only lists\s+)with `([^`]+)`", acl.PAGE, re.DOTALL
    )
    client = FluxQueue(f"{server.url}/0")
    client.task(name="work", concurrency=1)(lambda: None).enqueue_many([(), ()])
    client.close()
    login = ["on", f">{acl.PASSWORD}", "resetkeys", "resetchannels", "-@all"]
    acl.create(admin, "operator", [*login, *rules.split()])
    url = acl.url("operator", f"{server.url}/0")
    for words in (("list",), ("set", "work", "--rate", "5/s"), ("clear", "work")):
        done = run(url, *words)
        assert (done.returncode, done.stderr) == (0, "")
    assert acl.refused(admin) == []
    acl.create(admin, "operator", [*login, *reading.split()])
    assert run(url, "list").returncode == 0
    refused = run(url, "set", "work", "--rate", "5/s")
    assert refused.returncode == 3 and len(refused.stderr.splitlines()) == 1
    assert "evalsha" in refused.stderr
