"""Tasks that wait are ended, and dead ones removed, as an operator has found them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fluxqueue_core import dead_result, script_keys
from support.outcomes import channel
from support.scripts import DAY, Scripts, field, message
from support.waiting import wait_until

# Redis 6.2 and Valkey execute this script too.
pytestmark = pytest.mark.versions

DIGEST = "0123456789abcdef" * 2


def put(scripts: Scripts, where: str, *of: bytes) -> None:
    """Puts messages where they wait; the first of a list is the next to be taken."""
    if where in ("pending", "suspects"):
        scripts.redis.lpush(scripts.key(where), *of)
    else:
        later = {raw: scripts.now() + DAY + place for place, raw in enumerate(of)}
        scripts.redis.zadd(scripts.key(where), later)


def left(scripts: Scripts, where: str) -> list[bytes]:
    if where in ("pending", "suspects"):
        return scripts.list(where)
    found: list[bytes] = scripts.redis.zrange(scripts.key(where), 0, -1)
    return found


@pytest.mark.parametrize("within", [3, -3])
@pytest.mark.parametrize("where", ["pending", "suspects", "delayed"])
def test_a_task_that_waits_is_ended_once(scripts: Scripts, where: str, within: int) -> None:
    put(scripts, where, *(message(n) for n in (1, 2, 3)))
    assert scripts.delete(message(2), where, within) == 1
    assert left(scripts, where) == [message(1), message(3)]
    assert scripts.delete(message(2), where, within) == 0
    assert scripts.stats() == {"cancelled": 1}


def test_only_a_part_of_a_list_is_looked_through(scripts: Scripts) -> None:
    put(scripts, "pending", *(message(n) for n in range(1, 11)))
    # The fourth from the right, the seventh from the left.
    assert scripts.delete(message(4), "pending", -3) == 0
    assert scripts.delete(message(4), "pending", 6) == 0
    assert len(scripts.list("pending")) == 10 and scripts.stats() == {}
    assert scripts.delete(message(4), "pending", -4) == 1


def test_a_task_that_a_worker_has_taken_goes_on(scripts: Scripts) -> None:
    scripts.claim("c", message(1))
    for where in ("pending", "suspects", "prioritized", "delayed"):
        assert scripts.delete(message(1), where, -10) == 0
    assert scripts.held("c") == {field(message(1)): message(1)} and scripts.stats() == {}


def test_the_next_task_with_a_priority_follows_the_deleted_head(scripts: Scripts) -> None:
    ranked = [message(n, opts='{"p":5}') for n in (1, 2, 3)]
    scripts.enqueue_ranked(*ranked)
    scripts.enqueue(message(4))
    assert scripts.delete(ranked[1], "prioritized") == 1
    assert scripts.delete(ranked[0], "pending", -1) == 1
    assert scripts.list("pending") == [ranked[2], message(4)]


@pytest.mark.parametrize("flags", ["", "s", "si"])
def test_the_lock_and_the_cancel_are_free(scripts: Scripts, flags: str) -> None:
    raw = message(1, opts=f'{{"u":"{DIGEST}:60000{flags}"}}')
    scripts.enqueue_unique((f"+60000 replace {DIGEST} 60000 0 text", raw))
    scripts.redis.zadd(scripts.key("cancelled"), {raw[13:49]: scripts.now()})
    assert scripts.redis.keys("*:unique:*")
    assert scripts.delete(raw, "delayed") == 1
    assert not scripts.redis.keys("*:unique:*") and scripts.cancelled() == set()


def test_the_lock_of_another_task_stays(scripts: Scripts) -> None:
    raw = message(1, opts=f'{{"u":"{DIGEST}:60000"}}')
    put(scripts, "pending", raw)
    scripts.redis.hset(scripts.key("unique", DIGEST), "id", message(2)[13:49])
    scripts.redis.hset(scripts.key("unique", DIGEST), "since", 1)
    assert scripts.delete(raw, "pending", -1) == 1
    assert scripts.lock(DIGEST) == {b"id": message(2)[13:49]}


def test_the_result_says_that_the_task_is_cancelled(scripts: Scripts) -> None:
    first, second = (message(n, opts='{"r":60000}') for n in (1, 2))
    put(scripts, "pending", first)
    ids = [raw[13:49].decode() for raw in (first, second)]
    words: list[Any] = []
    keys = len(script_keys("delete", "q"))
    for place, raw in enumerate((first, second), keys + 1):
        kept = dead_result(raw, "cancelled", "why")
        assert kept is not None
        words += [place, "keep", *kept, raw, "pending", -5, ""]
    subscribed: Any = scripts.redis.pubsub  # without types in redis-py
    with subscribed() as listener:
        listener.subscribe(channel(ids[0], "q"))
        wait_until(lambda: listener.get_message(timeout=1) is not None)
        # The second one is not there: its effect does not happen.
        assert scripts.call("delete", words, results=ids) == [1, 0]
        told = listener.get_message(timeout=5)["data"]
    outcome = scripts.redis.get(scripts.key("result", ids[0]))
    assert told == outcome and json.loads(outcome)["state"] == "cancelled"
    assert 0 < scripts.redis.pttl(scripts.key("result", ids[0])) <= 60_000
    assert not scripts.redis.exists(scripts.key("result", ids[1]))


def test_a_dead_task_is_removed_if_it_has_not_died_again(scripts: Scripts) -> None:
    scripts.claim("c")
    scripts.enqueue(b"garbage", b"more")
    entries = scripts.exchange("c", 2).parked
    name, died, _ = scripts.death(entries[0])
    assert scripts.delete(name, "dead", died - 1) == 0
    assert scripts.delete(name, "dead", died) == 1
    assert scripts.delete(name, "dead", died) == 0
    assert set(scripts.dead()) == {entries[1]}
    assert scripts.stats() == {"dead": 2}
