"""exchange.lua: the lease, adoption and claiming."""

from __future__ import annotations

import hashlib
import json

import pytest
from redis import Redis
from support.scripts import LEASE, Outcome, Scripts, field, message, messages

pytestmark = pytest.mark.versions


def reason_of(scripts: Scripts, entry: bytes) -> str:
    text: str = json.loads(scripts.dead()[entry][1])["reason"]
    return text


def test_an_exchange_claims_the_oldest_first_up_to_the_limit(scripts: Scripts) -> None:
    waiting = messages(range(5))
    scripts.open("c")
    scripts.enqueue(*waiting)
    assert scripts.exchange("c", 3).claimed == waiting[:3]
    assert scripts.held("c") == {field(m): m for m in waiting[:3]}
    assert scripts.exchange("c", 0).claimed == []
    assert scripts.exchange("c", 1_000).claimed == waiting[3:]
    assert scripts.exchange("c", 1_000).claimed == []


def test_a_thousand_at_once(scripts: Scripts) -> None:
    waiting = messages(range(1_000))
    scripts.open("c")
    scripts.enqueue(*waiting)
    assert scripts.exchange("c", 1_000).claimed == waiting
    settled = scripts.exchange("c", succeeded=[field(m) for m in waiting])
    assert settled.claimed == [] and scripts.held("c") == {}
    assert scripts.stats() == {"succeeded": 1_000}


def test_an_exchange_renews_the_lease(scripts: Scripts) -> None:
    scripts.open("c", lease=1)
    before = scripts.now()
    reply = scripts.exchange("c")
    score = scripts.score("c")
    assert score == reply.now + LEASE and before <= reply.now <= scripts.now()


@pytest.mark.parametrize("state", ["tombstone", "absent"])
def test_a_consumer_that_is_not_alive_can_do_nothing(scripts: Scripts, state: str) -> None:
    # Rule 2: a tombstone settles and claims nothing.
    held, inboxed, waiting = messages(range(3))
    scripts.claim("c", held)
    if state == "tombstone":
        scripts.end_lease("c")
        scripts.be_swept()
        assert scripts.bury("c")
    else:
        scripts.redis.delete(scripts.key("consumers"))
    score = scripts.score("c")
    scripts.enqueue(inboxed)
    scripts.block("c")
    scripts.enqueue(waiting)

    lost = scripts.try_exchange(
        "c",
        5,
        succeeded=[field(held)],
        outcomes=[Outcome(field(held), "dead", b"{}", "1"), Outcome(field(held), "release")],
    )

    assert lost is None
    assert scripts.score("c") == score, "a lost consumer was renewed"
    assert scripts.held("c") == {field(held): held}
    assert scripts.list("pending") == [waiting]
    assert scripts.list("inbox", "c") == [inboxed]
    assert scripts.stats() == {} and scripts.dead() == {}


def test_the_inbox_is_adopted_silently(scripts: Scripts) -> None:
    # Rule 5.
    # The reply of BLMOVE has handed it out: it must not come by a second way.
    first, second, third = messages(range(3))
    scripts.open("c")
    scripts.enqueue(first, second, third)
    scripts.block("c")
    scripts.block("c")
    assert scripts.exchange("c", 5).claimed == [third]
    assert scripts.list("inbox", "c") == []
    assert scripts.held("c") == {field(m): m for m in (first, second, third)}


def test_a_message_can_be_settled_in_the_exchange_that_adopts_it(scripts: Scripts) -> None:
    held = message(1)
    scripts.open("c")
    scripts.enqueue(held)
    scripts.block("c")
    assert scripts.exchange("c", succeeded=[field(held)]).parked == []
    assert scripts.held("c") == {} and scripts.stats() == {"succeeded": 1}


@pytest.mark.parametrize("way", ["claimed", "adopted"])
def test_garbage_is_parked(scripts: Scripts, way: str) -> None:
    bad = [
        b"garbage",
        b"",
        message(1)[:49],
        message(1).replace(b'{"v":1', b'{"v":0'),
        b'{"v":1,"id":"short","name":"n","args":[]}',
        message(1).replace(b',"name":', b"," + b" " * 80 + b'"name":'),
    ]
    good = message(5)
    scripts.open("c")
    scripts.enqueue(*bad, good)
    if way == "adopted":
        for _ in bad:
            scripts.block("c")
    reply = scripts.exchange("c", 100)

    assert reply.claimed == [good]
    assert scripts.held("c") == {field(good): good}
    entries = [b"sha1:" + hashlib.sha1(m).hexdigest().encode() for m in bad]
    assert reply.parked == entries
    dead = scripts.dead()
    assert [dead[entry][0] for entry in entries] == bad
    assert {reason_of(scripts, entry) for entry in entries} == {"malformed"}
    assert scripts.stats() == {"dead": len(bad)}


def test_a_message_whose_field_is_held_is_parked_not_overwritten(scripts: Scripts) -> None:
    # Rule 11.
    held, twin, good = message(1), message(1, args=b'["twin"]'), message(2)
    scripts.claim("c", held)
    scripts.enqueue(twin, good)
    reply = scripts.exchange("c", 5)
    assert reply.claimed == [good] and reply.parked == [field(held)]
    assert scripts.held("c") == {field(held): held, field(good): good}
    assert scripts.dead()[field(held)][0] == twin
    assert reason_of(scripts, field(held)) == "duplicate"


def test_the_second_of_two_twins_in_one_claim_is_parked(scripts: Scripts) -> None:
    first, twin, good = message(1), message(1, args=b'["twin"]'), message(2)
    scripts.open("c")
    scripts.enqueue(first, twin, good)
    reply = scripts.exchange("c", 5)
    assert reply.claimed == [first, good] and reply.parked == [field(first)]
    assert scripts.held("c") == {field(first): first, field(good): good}
    assert scripts.dead()[field(first)][0] == twin


def test_a_twin_in_the_inbox_is_parked(scripts: Scripts) -> None:
    held, twin = message(1), message(1, args=b'["twin"]')
    scripts.claim("c", held)
    scripts.enqueue(twin)
    scripts.block("c")
    assert scripts.exchange("c").parked == [field(held)]
    assert scripts.held("c") == {field(held): held}


def test_parking_never_overwrites(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(b"garbage", b"garbage", b"garbage")
    parked = scripts.exchange("c", 5).parked
    assert len(set(parked)) == 3
    assert [kept for kept, _ in scripts.dead().values()] == [b"garbage"] * 3
    # Even after an operator has reset the counters.
    scripts.redis.delete(scripts.key("stats"))
    scripts.enqueue(b"garbage")
    assert scripts.exchange("c", 5).parked[0] not in parked
    assert len(scripts.dead()) == 4


def test_the_same_task_at_another_attempt_is_not_a_duplicate(scripts: Scripts) -> None:
    attempts = [message(1), message(1, retries=1), message(1, deliveries=1)]
    scripts.open("c")
    scripts.enqueue(*attempts)
    assert scripts.exchange("c", 5).claimed == attempts


def test_paused_claims_nothing_and_goes_on_settling(scripts: Scripts) -> None:
    held, waiting = messages(range(2))
    scripts.claim("c", held)
    scripts.enqueue(waiting)
    scripts.redis.set(scripts.key("paused"), "1")
    reply = scripts.exchange("c", 5, succeeded=[field(held)])
    assert (reply.told["paused"], reply.claimed) == (1, [])
    assert scripts.held("c") == {} and scripts.stats() == {"succeeded": 1}
    scripts.redis.delete(scripts.key("paused"))
    reply = scripts.exchange("c", 5)
    assert "paused" not in reply.told and reply.claimed == [waiting]


def test_suspects_are_counted_and_claimed_only_by_their_lane(scripts: Scripts) -> None:
    suspect, others = message(1, deliveries=2), messages(range(2, 5))
    scripts.redis.lpush(scripts.key("suspects"), suspect)
    scripts.enqueue(*others)
    scripts.open("main")
    scripts.open("lane")
    reply = scripts.exchange("main", 5)
    assert (reply.told["suspects"], reply.claimed) == (1, others)
    reply = scripts.exchange("lane", 5, source="suspects")
    assert reply.claimed == [suspect]
    assert "suspects" not in scripts.exchange("main").told


def test_an_exchange_tells_how_long_ago_the_last_sweep_was(scripts: Scripts) -> None:
    scripts.open("c")
    assert scripts.exchange("c").told == {"unswept": -1}
    scripts.redis.hset(scripts.key("sweep"), "last", scripts.now() - 70_000)
    assert 70_000 <= scripts.exchange("c").told["unswept"] < 130_000
    scripts.redis.hset(scripts.key("sweep"), "last", scripts.now() + 70_000)
    assert scripts.exchange("c").told["unswept"] < 0


def test_a_plain_reply_has_nothing_to_tell(scripts: Scripts) -> None:
    waiting = message(1)
    scripts.open("c")
    scripts.be_swept()
    scripts.enqueue(waiting)
    reply = scripts.exchange("c", 1)
    assert reply.claimed == [waiting] and reply.told == {}
    assert scripts.exchange("c", 1, succeeded=[field(waiting)]).told == {}


def test_garbage_that_can_not_be_parked_stays_in_the_queue(scripts: Scripts) -> None:
    """Another program has turned our dead set into a key of another type."""
    good, later = messages(range(2))
    scripts.open("c")
    scripts.enqueue(good, b"garbage", later)
    scripts.redis.set(scripts.key("dead"), "a string")
    with pytest.raises(Exception, match="WRONGTYPE"):
        scripts.exchange("c", 10)
    assert scripts.redis.lrange(scripts.key("pending"), 0, -1) == [later, b"garbage"]
    assert scripts.held("c") == {field(good): good}


def test_large_messages_are_claimed_a_few_at_a_time(scripts: Scripts) -> None:
    # Rule 15.
    large = b'["%s"]' % (b"x" * (1 << 20))
    waiting = [message(number, args=large) for number in range(12)]
    scripts.open("c")
    scripts.enqueue(*waiting)
    for begin in (0, 4, 8):
        reply = scripts.exchange("c", 12)
        assert reply.claimed == waiting[begin : begin + 4] and reply.told["more"] == 1
    assert "more" not in scripts.exchange("c", 12).told


def small_and_large() -> list[bytes]:
    """Messages whose sizes say nothing of those to come: 127 small ones, after which
    64 are popped at once, and 20 of 1 MiB."""
    large = b'["%s"]' % (b"x" * (1 << 20))
    return messages(range(127)) + [message(number, args=large) for number in range(127, 147)]


def test_no_more_large_ones_are_claimed_behind_many_small_ones(scripts: Scripts) -> None:
    # Rule 15.
    waiting = small_and_large()
    scripts.open("c")
    scripts.enqueue(*waiting)
    first = scripts.exchange("c", 1_000)
    assert first.claimed == waiting[:131] and first.told["more"] == 1
    # The others are in the list again, in the same order.
    assert scripts.redis.lrange(scripts.key("pending"), 0, -1) == waiting[:130:-1]
    assert scripts.exchange("c", 2).claimed == waiting[131:133]


def test_where_nothing_can_be_put_back_nothing_is_lost(scripts: Scripts, redis_url: str) -> None:
    waiting = small_and_large()
    scripts.open("c")
    scripts.enqueue(*waiting)
    rules = ("on", ">x", "~*", "+@all", "-rpush")
    scripts.redis.execute_command("ACL", "SETUSER", "no-rpush", *rules)
    try:
        with Redis.from_url(redis_url.replace("://", "://no-rpush:x@")) as limited:
            claimed = Scripts(limited).exchange("c", 1_000).claimed
    finally:
        scripts.redis.execute_command("ACL", "DELUSER", "no-rpush")
    assert claimed == waiting and len(scripts.held("c")) == len(waiting)


@pytest.mark.parametrize("name", ["last", "quiet"])
def test_garbage_in_the_sweep_hash_is_healed_by_the_next_sweep(scripts: Scripts, name: str) -> None:
    scripts.open("c")
    scripts.redis.hset(scripts.key("sweep"), name, "abc")
    assert scripts.exchange("c").now > 0
    scripts.sweep()
    scripts.sweep()
    assert "unswept" not in scripts.exchange("c").told


@pytest.mark.parametrize("kind", ["dead", "dead:messages", "dead:reasons", "stats"])
def test_a_failed_parking_leaves_no_half_entries(scripts: Scripts, kind: str) -> None:
    held = message(1)
    scripts.claim("c", held)
    scripts.redis.delete(scripts.key(kind))
    scripts.redis.set(scripts.key(kind), "a string")
    for _ in range(2):
        with pytest.raises(Exception, match="WRONGTYPE"):
            scripts.exchange("c", outcomes=[Outcome(field(held), "dead", b"{}")])
    for other in {"dead", "dead:messages", "dead:reasons"} - {kind}:
        assert not scripts.redis.exists(scripts.key(other))
    assert scripts.held("c") == {field(held): held}
