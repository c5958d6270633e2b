"""Effects: what an outcome writes besides its settling. A result is the only one so far."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_core import key, script, script_keys
from redis.exceptions import ResponseError
from support.scripts import LEASE, Outcome, Scripts, field, message
from support.waiting import wait_until

pytestmark = pytest.mark.versions

PLAIN, GOOD, BAD, GONE = (message(n, opts='{"r":60000}' if n else "") for n in range(4))


def channel(result: str) -> str:
    return result.replace(":result:", ":done:")


class Results:
    """Calls of scripts with effects."""

    def __init__(self, scripts: Scripts) -> None:
        self.scripts = scripts
        self.keys = [
            key("result", scripts.queue, message[13:49].decode()) for message in (GOOD, BAD, GONE)
        ]

    def call(self, name: str, arguments: list[Any], keys: list[str]) -> Any:
        own = script_keys(name, self.scripts.queue, "c")
        text = script(name, self.scripts.flags)
        return self.scripts.redis.eval(text, len(own) + len(keys), *own, *keys, *arguments)

    def effect(self, number: int, name: str, value: bytes, kind: str = "keep") -> tuple[Any, ...]:
        return (len(script_keys(name, self.scripts.queue, "c")) + number, kind, value, 60_000)

    def exchange(self, kind: str = "keep", large: bytes = b"bad") -> Any:
        rows = [
            field(PLAIN),
            *self.effect(1, "exchange", b"good", kind),
            *Outcome(field(GOOD), "done"),
            *self.effect(2, "exchange", large, kind),
            *Outcome(field(BAD), "dead", b"{}", "1"),
            *self.effect(3, "exchange", b"gone", kind),
            *Outcome(field(GONE), "done"),
        ]
        return self.call("exchange", ["c", LEASE, 0, "pending", 1, 1_000, 1, *rows], self.keys)


@pytest.fixture
def results(scripts: Scripts) -> Results:
    return Results(scripts)


def test_an_outcome_keeps_a_result_and_tells_it(results: Results, scripts: Scripts) -> None:
    scripts.claim("c", PLAIN, GOOD, BAD)
    heard = scripts.redis.pubsub(ignore_subscribe_messages=True)
    heard.subscribe(*map(channel, results.keys))
    told = []

    def hear() -> bool:
        if (found := heard.get_message(timeout=0.1)) is not None:
            told.append((found["channel"].decode(), found["data"]))
        return len(told) == 2

    large = b"x" * 4_097
    assert results.exchange(large=large)[0] == 1
    assert scripts.held("c") == {}
    assert scripts.stats() == {"succeeded": 2, "dead": 1} and list(scripts.dead()) == [field(BAD)]
    # An outcome that does nothing has no effect either.
    assert scripts.redis.mget(results.keys) == [b"good", large, None]
    assert 0 < scripts.redis.pttl(results.keys[0]) <= 60_000
    wait_until(hear)
    # A large one is not in the message: the caller looks.
    assert told == [(channel(results.keys[0]), b"good"), (channel(results.keys[1]), b"")]
    heard.close()


def test_a_note_touches_only_a_task_that_is_held(results: Results, scripts: Scripts) -> None:
    scripts.claim("c", GOOD)
    saved = GOOD[:-1] + b',"checkpoint":1}'
    rows = [
        *results.effect(1, "exchange", b'{"progress":1}'),
        *Outcome(field(GOOD), "note", saved),
        *results.effect(2, "exchange", b'{"progress":2}'),
        *Outcome(field(BAD), "note", BAD),
    ]
    arguments = ["c", LEASE, 0, "pending", 1, 1_000, 0, *rows]
    assert results.call("exchange", arguments, results.keys)[0] == 1
    # It has not ended.
    assert scripts.held("c") == {field(GOOD): saved} and scripts.stats() == {}
    assert scripts.redis.mget(results.keys) == [b'{"progress":1}', None, None]
    assert 0 < scripts.redis.pttl(results.keys[0]) <= 60_000
    results.exchange()
    assert scripts.redis.get(results.keys[0]) == b"good" and scripts.held("c") == {}


def test_an_outcome_that_arrives_twice_has_its_effect_once(
    results: Results, scripts: Scripts
) -> None:
    scripts.claim("c", PLAIN, GOOD, BAD)
    results.exchange()
    scripts.redis.delete(*results.keys)
    results.exchange()
    assert scripts.redis.mget(results.keys) == [None, None, None]
    assert scripts.stats() == {"succeeded": 2, "dead": 1}


def test_the_end_by_a_scheduler_has_its_effect(results: Results, scripts: Scripts) -> None:
    scripts.claim("c", GOOD, BAD)
    rows = [
        *(field(GOOD), "home", GOOD, b""),
        *results.effect(1, "move", b"lost"),
        *(field(BAD), "dead", BAD, b"{}"),
        *results.effect(2, "move", b"gone"),
        *(field(GONE), "dead", GONE, b"{}"),
    ]
    assert results.call("move", rows, results.keys[1:]) == [1, 1]
    assert scripts.redis.mget(results.keys) == [None, b"lost", None]
    assert scripts.list("pending") == [GOOD] and list(scripts.dead()) == [field(BAD)]


@pytest.mark.parametrize(
    ("missing", "says"), [("-set", "SET|set"), ("-publish", "PUBLISH|publish")]
)
def test_without_a_right_nothing_is_written(
    results: Results, scripts: Scripts, missing: str, says: str
) -> None:
    """An error after the first write would repeat this write with each call."""
    scripts.claim("c", GOOD, BAD)
    redis = scripts.redis
    redis.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", missing)
    try:
        redis.execute_command("AUTH", "poor", "pw")
        with pytest.raises(ResponseError, match=r"(?i)perm|can.t run|script"):
            results.exchange()
    finally:
        redis.connection_pool.disconnect()
        redis.execute_command("ACL", "DELUSER", "poor")
    assert len(scripts.held("c")) == 2 and scripts.dead() == {}
    assert scripts.redis.mget(results.keys) == [None, None, None]


def test_a_sharded_channel_gets_the_result_if_the_server_has_some(
    results: Results, scripts: Scripts
) -> None:
    if not scripts.flags:
        pytest.skip("Redis before 7.0 has none, and no worker uses them there")
    scripts.claim("c", GOOD)
    heard = scripts.redis.pubsub(ignore_subscribe_messages=True)
    heard.execute_command("SSUBSCRIBE", channel(results.keys[0]))
    wait_until(lambda: scripts.redis.execute_command("PUBSUB", "SHARDCHANNELS") != [])
    results.exchange("keep_sharded")
    assert scripts.redis.mget(results.keys) == [b"good", None, None]
    wait_until(lambda: b"good" in (heard.parse_response(block=False, timeout=0.1) or []))
    heard.close()
