"""sweep.lua, bury.lua, move.lua, reclaim.lua: the rescue of lost consumers."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_core import script
from redis.exceptions import ResponseError
from support.scripts import DAY, GAP, LEASE, Scripts, field, message, messages

pytestmark = pytest.mark.versions


def lose(scripts: Scripts, consumer: str, *held: bytes) -> None:
    """A consumer that holds these messages and whose lease has ended."""
    scripts.claim(consumer, *held)
    scripts.end_lease(consumer)
    scripts.be_swept()


# sweep


def test_the_first_sweep_makes_quiet_for_a_lease(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.end_lease("c")
    now, quiet, late, _ = scripts.sweep()
    assert quiet == LEASE and late == []
    state = scripts.redis.hgetall(scripts.key("sweep"))
    assert {k.decode(): int(v) for k, v in state.items()} == {"last": now, "quiet": now + LEASE}


def test_swept_in_time_it_finds_those_whose_lease_has_ended(scripts: Scripts) -> None:
    scripts.open("alive")
    scripts.open("late")
    scripts.end_lease("late")
    scripts.open("", olds=["ended"])
    scripts.be_swept()
    now, quiet, late, tombstones = scripts.sweep()
    assert (quiet, late, tombstones) == (0, [b"late"], [b"ended"])
    assert int(scripts.redis.hget(scripts.key("sweep"), "last")) == now


def test_one_call_sweeps_several_queues_and_returns_those_with_news(redis: Any) -> None:
    queues = [Scripts(redis, name) for name in ("none", "late", "alive", "ended")]
    _, late, alive, ended = queues
    for scripts in (late, alive):
        scripts.open("c")
    late.end_lease("c")
    ended.open("", olds=["c"])
    for scripts in queues:
        scripts.be_swept()
    keys = [scripts.key(kind) for scripts in queues for kind in ("consumers", "sweep")]
    call = ["EVAL", script("sweep", late.flags), len(keys), *keys, GAP, LEASE, 100, 2]
    now, *found = redis.execute_command(*call)
    assert found == [[2, [b"c"], []], [4, [], [b"c"]]]
    assert {int(redis.hget(scripts.key("sweep"), "last")) for scripts in queues} == {now}
    # A queue that can't be swept ends the call, which keeps the sweeps before it.
    redis.set(alive.key("sweep"), "oops")
    redis.hset(late.key("sweep"), "last", now - 1)
    redis.hset(ended.key("sweep"), "last", now - 1)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        redis.execute_command(*call)
    assert int(redis.hget(late.key("sweep"), "last")) >= now
    assert int(redis.hget(ended.key("sweep"), "last")) == now - 1


@pytest.mark.parametrize("ago", [GAP + 100, 10 * LEASE])
def test_after_a_gap_it_is_quiet_again(scripts: Scripts, ago: int) -> None:
    # Rule 8.
    scripts.open("late")
    scripts.end_lease("late")
    scripts.redis.hset(scripts.key("sweep"), "last", scripts.now() - ago)
    assert scripts.sweep()[1:3] == [LEASE, []]
    # The grace does not begin again with each sweep, nor end with the next.
    quiet, late = scripts.sweep()[1:3]
    assert 0 < quiet <= LEASE and late == []


def test_when_the_clock_ran_backwards_it_is_quiet_and_leases_are_cut(scripts: Scripts) -> None:
    # Rule 8.
    # All leases were written when the clock was an hour ahead. A consumer that died would
    # hold its tasks for that hour.
    ahead = scripts.now() + 3_600_000
    scripts.redis.zadd(scripts.key("consumers"), {"died": ahead, "fine": scripts.now() + 5})
    scripts.open("", olds=["ended"])
    tombstone = scripts.score("ended")
    scripts.redis.hset(scripts.key("sweep"), mapping={"last": ahead, "quiet": ahead})
    now, quiet, late, _ = scripts.sweep()
    assert (quiet, late) == (LEASE, [])
    assert scripts.score("died") == now + LEASE
    assert scripts.score("fine") != now + LEASE and scripts.score("ended") == tombstone


def test_without_a_jump_no_lease_is_cut(scripts: Scripts) -> None:
    scripts.open("long", lease=10 * LEASE)
    score = scripts.score("long")
    scripts.be_swept()
    scripts.sweep()
    assert scripts.score("long") == score


def test_the_number_of_late_consumers_is_bounded(scripts: Scripts) -> None:
    for n in range(5):
        scripts.open(f"c{n}")
        scripts.end_lease(f"c{n}")
    scripts.be_swept()
    assert len(scripts.sweep(limit=3)[2]) == 3


# bury


def test_a_late_consumer_becomes_a_tombstone_and_hands_out_what_it_held(scripts: Scripts) -> None:
    held, inboxed = message(1), message(2)
    scripts.claim("c", held)
    scripts.enqueue(inboxed)
    scripts.block("c")
    scripts.end_lease("c")
    scripts.be_swept()
    before = scripts.now()
    assert scripts.bury("c") == {field(held): held, field(inboxed): inboxed}
    score = scripts.score("c")
    assert score is not None and before <= -score <= scripts.now()
    assert scripts.list("inbox", "c") == []
    assert len(scripts.held("c")) == 2, "it is move that takes them out"


def test_the_living_are_not_buried(scripts: Scripts) -> None:
    scripts.claim("c", message(1))
    scripts.be_swept()
    assert scripts.bury("c") == {}
    assert not scripts.is_tombstone("c")


@pytest.mark.parametrize(
    "sweep",
    [
        pytest.param({"last": -GAP - 100, "quiet": -1}, id="after a gap"),
        pytest.param({"last": 0, "quiet": 60_000}, id="while quiet"),
        pytest.param({"last": 60_000, "quiet": -1}, id="time ran backwards"),
        pytest.param({}, id="never swept"),
    ],
)
def test_bury_refuses_if_healthy_workers_may_look_late(
    scripts: Scripts, sweep: dict[str, int]
) -> None:
    lose(scripts, "c", message(1))
    now = scripts.now()
    scripts.redis.delete(scripts.key("sweep"))
    if sweep:
        moments = {name: now + offset for name, offset in sweep.items()}
        scripts.redis.hset(scripts.key("sweep"), mapping=moments)
    assert scripts.bury("c") == {}
    assert not scripts.is_tombstone("c")


def test_a_tombstone_hands_out_what_another_scheduler_left(scripts: Scripts) -> None:
    held = messages(range(2))
    lose(scripts, "c", *held)
    assert len(scripts.bury("c")) == 2
    scripts.redis.delete(scripts.key("sweep"))
    assert scripts.bury("c") == {field(m): m for m in held}


def test_the_inbox_of_a_tombstone_is_not_raised(scripts: Scripts) -> None:
    lose(scripts, "c")
    scripts.bury("c")
    scripts.enqueue(message(1))
    scripts.block("c")
    assert scripts.bury("c") == {} and scripts.list("inbox", "c") == [message(1)]


def test_burying_parks_twins_and_garbage(scripts: Scripts) -> None:
    held, twin = message(1), message(1, args=b'["twin"]')
    scripts.claim("c", held)
    scripts.enqueue(twin, b"garbage")
    scripts.block("c")
    scripts.block("c")
    scripts.end_lease("c")
    scripts.be_swept()
    assert scripts.bury("c") == {field(held): held}
    assert {kept for kept, _ in scripts.dead().values()} == {twin, b"garbage"}


def test_the_reply_of_bury_is_empty_only_when_nothing_is_left(scripts: Scripts) -> None:
    # A hash that shrinks has empty stretches; a scan's first page may be empty.
    held = {field(m): m for m in messages(range(900), args=b'["%s"]' % (b"x" * 80))}
    lose(scripts, "c", *held.values())
    seen: dict[bytes, bytes] = {}
    while found := scripts.bury("c", limit=1):
        seen |= found
        scripts.redis.hdel(scripts.key("claimed", "c"), *found)
    assert seen == held and scripts.held("c") == {}


def test_a_pass_of_bury_scans_each_part_of_the_hash_once(scripts: Scripts) -> None:
    held = {field(m): m for m in messages(range(900), args=b'["%s"]' % (b"x" * 80))}
    lose(scripts, "c", *held.values())
    scripts.redis.config_resetstat()
    seen: dict[bytes, bytes] = {}
    cursor, calls = b"0", 0
    while calls == 0 or cursor != b"0":
        cursor, *flat = scripts.call("bury", ["c", GAP, 10, cursor], "c")
        calls += 1
        found = dict(zip(flat[::2], flat[1::2], strict=True))
        seen |= found
        if found:
            scripts.redis.hdel(scripts.key("claimed", "c"), *found)
    assert seen == held and scripts.held("c") == {}
    # Without a cursor, each call would scan all that earlier ones have emptied.
    scans = scripts.redis.info("commandstats")["cmdstat_hscan"]["calls"]
    assert scans <= calls + 5


def test_the_number_of_messages_is_bounded(scripts: Scripts) -> None:
    lose(scripts, "c", *messages(range(900), args=b'["%s"]' % (b"x" * 80)))
    assert 1 <= len(scripts.bury("c", limit=50)) < 200


# move


def test_raised_messages_return_and_are_next(scripts: Scripts) -> None:
    held = messages(range(3), deliveries=0)
    lose(scripts, "c", *held)
    waiting = message(9)
    scripts.enqueue(waiting)
    scripts.bury("c")
    raised = [message(0, deliveries=1), message(1, deliveries=2), message(2, deliveries=1)]
    moved = scripts.move(
        "c", *((field(m), "home", r, b"") for m, r in zip(held, raised, strict=True))
    )
    assert moved == [3, 0]
    assert scripts.list("pending") == [raised[2], raised[0], waiting]
    assert scripts.list("suspects") == [raised[1]]
    assert scripts.held("c") == {} and scripts.stats() == {"rescued": 3}


def test_the_third_loss_is_the_death(scripts: Scripts) -> None:
    held = message(1, deliveries=2)
    lose(scripts, "c", held)
    scripts.bury("c")
    raised = message(1, deliveries=3)
    assert scripts.move("c", (field(held), "dead", raised, b'{"reason":"worker_lost"}')) == [0, 1]
    assert scripts.dead() == {field(held): (raised, b'{"reason":"worker_lost"}')}
    assert scripts.list("suspects") == [] and scripts.held("c") == {}
    assert scripts.stats() == {"dead": 1}


def test_two_schedulers_move_a_message_once(scripts: Scripts) -> None:
    # Rule 9.
    held = message(1)
    lose(scripts, "c", held)
    first, second = scripts.bury("c"), scripts.bury("c")
    assert first == second == {field(held): held}
    raised = message(1, deliveries=1)
    assert scripts.move("c", (field(held), "home", raised, b"")) == [1, 0]
    assert scripts.move("c", (field(held), "home", raised, b"")) == [0, 0]
    assert scripts.move("c", (field(held), "dead", raised, b"{}")) == [0, 0]
    assert scripts.list("pending") == [raised] and scripts.dead() == {}
    assert scripts.stats() == {"rescued": 1}


def test_an_error_in_moving_loses_no_message(scripts: Scripts) -> None:
    held = message(1)
    lose(scripts, "c", held)
    scripts.bury("c")
    scripts.redis.set(scripts.key("pending"), "oops")
    with pytest.raises(Exception, match="WRONGTYPE"):
        scripts.move("c", (field(held), "home", message(1, deliveries=1), b""))
    assert scripts.held("c") == {field(held): held}


# reclaim


def test_the_inbox_of_a_tombstone_returns_in_order_and_unraised(scripts: Scripts) -> None:
    inboxed = [message(1), message(2, deliveries=1), message(3), message(4, deliveries=2)]
    scripts.open("", olds=["c"])
    scripts.enqueue(*inboxed)
    for _ in inboxed:
        scripts.block("c")
    scripts.enqueue(message(9))
    assert scripts.reclaim("c") == 4
    assert scripts.list("pending") == [*inboxed[:3], message(9)]
    assert scripts.list("suspects") == [inboxed[3]]
    assert scripts.list("inbox", "c") == [] and scripts.is_tombstone("c")
    assert scripts.reclaim("c") == 0


def test_the_inbox_of_an_unknown_consumer_returns(scripts: Scripts) -> None:
    scripts.enqueue(message(1))
    scripts.block("unknown")
    assert scripts.reclaim("unknown") == 1
    assert scripts.list("pending") == [message(1)]


def test_reclaim_moves_a_hundred_messages_in_a_call(scripts: Scripts) -> None:
    inboxed = messages(range(250))
    scripts.open("", olds=["c"])
    scripts.enqueue(*inboxed)
    for _ in inboxed:
        scripts.block("c")
    assert [scripts.reclaim("c") for _ in range(4)] == [100, 100, 50, 0]
    assert scripts.list("pending") == inboxed


def test_the_inbox_of_the_living_is_theirs(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(message(1))
    scripts.block("c")
    assert scripts.reclaim("c", forget=0) == -1
    scripts.end_lease("c")
    assert scripts.reclaim("c", forget=0) == -1
    assert scripts.list("inbox", "c") == [message(1)]


def test_an_old_and_empty_tombstone_is_forgotten(scripts: Scripts) -> None:
    scripts.open("", olds=["old", "young"])
    scripts.redis.zadd(scripts.key("consumers"), {"old": -(scripts.now() - DAY - 5)})
    assert scripts.reclaim("old") == scripts.reclaim("young") == 0
    assert scripts.score("old") is None and scripts.is_tombstone("young")


@pytest.mark.parametrize("left", ["claimed", "inbox"])
def test_a_tombstone_that_left_something_is_not_forgotten(scripts: Scripts, left: str) -> None:
    scripts.claim("c", message(1))
    scripts.end_lease("c")
    scripts.be_swept()
    scripts.bury("c")
    if left == "inbox":
        scripts.redis.delete(scripts.key("claimed", "c"))
        scripts.enqueue(message(2))
        scripts.block("c")
    scripts.redis.zadd(scripts.key("consumers"), {"c": -1})
    scripts.reclaim("c")
    assert scripts.is_tombstone("c")
