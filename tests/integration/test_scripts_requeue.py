"""Dead and delayed tasks are enqueued again, each once, as an operator has read them."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError
from support.scripts import DAY, Outcome, Scripts, field, message

# Redis 6.2 and Valkey execute this script too.
pytestmark = pytest.mark.versions

DIGEST = "0123456789abcdef" * 2
LOCKED = f'{{"u":"{DIGEST}:60000"}}'
REASON = b'{"reason":"failed","error":"e"}'
ID_1 = message(1)[13:49].decode()


def die(scripts: Scripts, raw: bytes, consumer: str = "c") -> bytes:
    """Makes a task dead; returns its entry."""
    scripts.claim(consumer, raw)
    scripts.exchange(consumer, outcomes=[Outcome(field(raw), "dead", REASON, "1")])
    return field(raw)


def requeue(scripts: Scripts, entry: bytes, again: bytes, result: str = "") -> Any:
    [reply] = scripts.requeue((*scripts.death(entry), again, result))
    return reply


def test_a_dead_task_waits_behind_the_others_and_leaves_the_dead_set(scripts: Scripts) -> None:
    entry = die(scripts, message(1, retries=3))
    scripts.enqueue(message(2))
    assert requeue(scripts, entry, message(1)) == 1
    assert scripts.list("pending") == [message(2), message(1)]
    assert scripts.dead() == {}
    assert scripts.stats() == {"dead": 1, "requeued": 1}


def test_a_second_call_does_nothing(scripts: Scripts) -> None:
    entry = die(scripts, message(1, retries=3))
    read = (*scripts.death(entry), message(1), "")
    assert scripts.requeue(read, read) == [1, 0]
    assert scripts.requeue(read) == [0]
    assert scripts.list("pending") == [message(1)]
    assert scripts.stats()["requeued"] == 1


def test_a_task_that_has_died_again_is_left_to_those_who_know(scripts: Scripts) -> None:
    entry = die(scripts, message(1))
    name, died, digest = scripts.death(entry)
    before = scripts.dead()
    assert scripts.requeue((name, died - 1, digest, message(1), "")) == [0]
    assert scripts.requeue((name, died, "0" * 40, message(1), "")) == [0]
    assert scripts.list("pending") == [] and scripts.dead() == before


def test_a_priority_and_the_guard_are_kept(scripts: Scripts) -> None:
    first, second = (message(n, opts='{"p":5}') for n in (1, 2))
    entries = [die(scripts, first), die(scripts, second)]
    assert [requeue(scripts, entries[0], first), requeue(scripts, entries[1], second)] == [1, 1]
    assert scripts.list("pending") == [first]
    assert scripts.redis.zrange(scripts.key("prioritized"), 0, -1) == [second]


@pytest.mark.parametrize("flags", ["", "s", "i", "si"])
def test_a_unique_task_takes_its_locks_again(scripts: Scripts, flags: str) -> None:
    raw = message(1, opts=f'{{"u":"{DIGEST}:60000{flags}"}}')
    entry = die(scripts, raw)
    assert not scripts.redis.keys("*:unique:*")
    assert requeue(scripts, entry, raw) == 1
    names = [DIGEST, *([ID_1] if "i" in flags else [])]
    assert [scripts.lock(name) for name in names] == [{b"id": ID_1.encode()}] * len(names)
    assert all(0 < scripts.redis.pttl(scripts.key("unique", name)) <= 60_000 for name in names)
    # And they are free when it ends, or begins.
    scripts.exchange("c", 1)
    scripts.exchange("c", outcomes=[Outcome(field(raw), "done")])
    assert not scripts.redis.keys("*:unique:*")


def test_a_unique_task_whose_lock_another_one_has_stays_dead(scripts: Scripts) -> None:
    entry = die(scripts, message(1, opts=LOCKED))
    [reply] = scripts.enqueue_unique(
        (f"+0 skip {DIGEST} 60000 0 text", message(2, opts=LOCKED)),
    )
    assert reply is None
    before, lock = scripts.dead(), scripts.lock(DIGEST)
    assert requeue(scripts, entry, message(1, opts=LOCKED)) == message(2)[13:49]
    assert scripts.dead() == before and scripts.lock(DIGEST) == lock
    assert scripts.list("pending") == [message(2, opts=LOCKED)]


def test_an_expired_task_stays_dead(scripts: Scripts) -> None:
    raw = message(1, opts='{"x":1000000000000}')
    entry = die(scripts, raw)
    before = scripts.dead()
    assert requeue(scripts, entry, raw) == -1
    assert scripts.dead() == before and scripts.list("pending") == []
    assert requeue(scripts, entry, message(1)) == 1  # without its expiry


def test_a_cancel_and_an_outcome_from_before_are_forgotten(scripts: Scripts) -> None:
    raw = message(1, opts='{"r":60000}')
    entry = die(scripts, raw)
    scripts.redis.zadd(scripts.key("cancelled"), {ID_1: 1, message(2)[13:49]: 2})
    result = scripts.key("result", ID_1)
    scripts.redis.set(result, "failed")
    assert requeue(scripts, entry, raw, ID_1) == 1
    assert scripts.cancelled() == {message(2)[13:49]}
    assert not scripts.redis.exists(result)


def test_a_message_of_a_newer_version_returns_as_it_is(scripts: Scripts) -> None:
    raw = message(1).replace(b'"v":1', b'"v":7')
    scripts.open("c")
    scripts.enqueue(raw)
    scripts.exchange("c", 1)
    scripts.redis.zadd(scripts.key("delayed"), {raw: 1})
    scripts.promote()
    [entry] = scripts.exchange("c", 1, grace=0).parked
    assert requeue(scripts, entry, raw) == 1
    assert scripts.list("pending") == [raw] and scripts.dead() == {}


def test_a_delayed_task_runs_before_it_is_due(scripts: Scripts) -> None:
    ordinary, suspect, ranked = (
        message(1, retries=1),
        message(2, deliveries=2),
        message(3, opts='{"p":5}'),
    )
    later = dict.fromkeys((ordinary, suspect, ranked), scripts.now() + DAY)
    scripts.redis.zadd(scripts.key("delayed"), later)
    scripts.enqueue(message(4))
    assert [scripts.hasten(raw) for raw in later] == [1, 1, 1]
    assert [scripts.hasten(raw) for raw in later] == [0, 0, 0]
    assert scripts.list("pending") == [ranked, message(4), ordinary]
    assert scripts.list("suspects") == [suspect]
    assert scripts.delayed() == {}


def test_a_delayed_task_that_is_cancelled_or_expired_is_condemned(scripts: Scripts) -> None:
    expired = message(1, opts='{"x":1000000000000}')
    later = {expired: scripts.now() + DAY, message(2): scripts.now() + DAY}
    scripts.redis.zadd(scripts.key("delayed"), later)
    scripts.redis.zadd(scripts.key("cancelled"), {message(2)[13:49]: scripts.now()})
    assert [scripts.hasten(expired), scripts.hasten(message(2))] == [1, 1]
    assert scripts.list("pending") == [
        message(1, opts='{"e":1,"x":1000000000000}'),
        message(2, opts='{"e":2}'),
    ]


@pytest.mark.parametrize("kind", ["dead", "dead:messages", "dead:reasons", "stats", "delayed"])
def test_a_key_of_another_type_makes_no_copies(scripts: Scripts, kind: str) -> None:
    entry = die(scripts, message(1, retries=3))
    read = (*scripts.death(entry), message(1), "")
    scripts.redis.delete(scripts.key(kind))
    scripts.redis.set(scripts.key(kind), "text")
    for _ in range(3):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            scripts.requeue(read)
    assert scripts.list("pending") == []
