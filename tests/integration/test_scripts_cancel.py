"""Cancelled tasks in the scripts."""

from __future__ import annotations

import pytest
from fluxqueue_core import parse_message
from redis import ResponseError
from support.scripts import Outcome, Scripts, field, message

pytestmark = pytest.mark.versions


def id_of(of: bytes) -> bytes:
    return of[13:49]


def condemned(of: bytes) -> str | None:
    why: str | None = parse_message(of)["condemned"]
    return why


@pytest.mark.parametrize("kind", ["pending", "suspects"])
@pytest.mark.parametrize("opts", ["", "{}", '{"p":0}'])
def test_a_cancelled_waiting_task_is_condemned_and_comes_to_the_front(
    scripts: Scripts, kind: str, opts: str
) -> None:
    deliveries = 2 if kind == "suspects" else 0
    of = [message(n, opts=opts, deliveries=deliveries, retries=1) for n in range(5)]
    scripts.redis.lpush(scripts.key(kind), *of)
    assert scripts.cancel(of[3]) == "cancelled"
    first, *rest = scripts.list(kind)
    assert (condemned(first), field(first)) == ("cancelled", field(of[3]))
    assert rest == [*of[:3], of[4]]
    assert scripts.cancelled() == {id_of(of[3])}
    # Again: it has the same answer, and changes nothing.
    assert scripts.cancel(of[3]) == "cancelled"
    assert scripts.list(kind) == [first, *rest]


def test_a_cancelled_delayed_task_returns_to_its_list_at_once(scripts: Scripts) -> None:
    waits, other = message(1), message(2)
    far = scripts.now() + 3_600_000
    scripts.redis.zadd(scripts.key("delayed"), {waits: far, other: far})
    assert scripts.cancel(waits) == "cancelled"
    assert list(scripts.delayed()) == [other]
    [home] = scripts.list("pending")
    assert condemned(home) == "cancelled"


def test_a_task_that_no_key_has_is_already_done(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(message(1))
    assert scripts.cancel(message(2)) == "already_done"
    assert scripts.cancelled() == set()


def test_a_queue_that_is_too_long_is_not_looked_through(scripts: Scripts) -> None:
    of = [message(n) for n in range(500)]
    scripts.enqueue(*of)
    assert scripts.cancel(of[100], most=100) == "requested"
    assert scripts.cancelled() == {id_of(of[100])}
    scripts.open("c")
    reply = scripts.exchange("c", 500)
    assert reply.cancelled == [id_of(of[100])]


@pytest.mark.parametrize("how", ["claim", "inbox"])
def test_a_worker_hears_of_its_tasks_until_they_end(scripts: Scripts, how: str) -> None:
    mine, other = message(1), message(2)
    scripts.open("c")
    scripts.enqueue(mine, other)
    if how == "claim":
        assert scripts.exchange("c", 2).cancelled is None
    else:
        scripts.block("c")
        scripts.block("c")
    assert scripts.cancel(mine) == "requested"
    for _ in range(2):
        assert scripts.exchange("c").cancelled == [id_of(mine)]
    scripts.exchange("c", outcomes=[Outcome(field(mine), "cancelled")])
    assert scripts.cancelled() == set()
    assert scripts.exchange("c").cancelled is None
    assert scripts.stats() == {"cancelled": 1}


def test_a_success_ends_the_cancel(scripts: Scripts) -> None:
    plain, other = message(1), message(2, opts="{}")
    scripts.claim("c", plain, other)
    for m in (plain, other):
        scripts.cancel(m)
    scripts.exchange("c", succeeded=[field(plain)], outcomes=[Outcome(field(other), "done")])
    assert scripts.cancelled() == set()
    assert scripts.stats() == {"succeeded": 2}


def test_a_death_ends_the_cancel(scripts: Scripts) -> None:
    held = message(1)
    scripts.claim("c", held)
    scripts.cancel(held)
    scripts.exchange(
        "c", outcomes=[Outcome(field(held), "dead", b'{"reason":"failed","error":"e"}')]
    )
    assert scripts.cancelled() == set() and set(scripts.dead()) == {field(held)}


@pytest.mark.parametrize("kind", ["retry", "later", "release"])
def test_no_attempt_follows(scripts: Scripts, kind: str) -> None:
    held = message(1)
    scripts.claim("c", held)
    scripts.cancel(held)
    again = {"retry": message(1, retries=1), "later": held, "release": b""}[kind]
    outcome = Outcome(field(held), kind, again, "" if kind == "release" else "60000")
    for _ in range(2):  # the second does nothing
        scripts.exchange("c", outcomes=[outcome])
        [home] = scripts.list("pending")
        assert condemned(home) == "cancelled"
        assert scripts.delayed() == {} and scripts.held("c") == {} and scripts.stats() == {}


def test_a_cancel_outlives_the_worker(scripts: Scripts) -> None:
    held = message(1)
    scripts.claim("c", held)
    scripts.cancel(held)
    scripts.end_lease("c")
    scripts.be_swept()
    assert scripts.bury("c") == {field(held): held}
    assert scripts.move("c", (field(held), "home", message(1, deliveries=1), b"")) == [1, 0]
    [home] = scripts.list("pending")
    assert condemned(home) == "cancelled" and parse_message(home)["deliveries"] == 1


@pytest.mark.parametrize("opts", ["", '{"p":5}'])
def test_a_cancelled_task_that_a_worker_gives_back_is_condemned(
    scripts: Scripts, opts: str
) -> None:
    """Rule 20: it was cancelled while a worker held it, and BLMOVE must bring it to no other."""
    held, inbox, other = message(1, opts=opts), message(2, opts=opts), message(3)
    scripts.claim("c", held, other)
    scripts.enqueue(inbox)
    scripts.block("c")
    assert [scripts.cancel(m) for m in (held, inbox)] == ["requested"] * 2
    scripts.open("d", ["c"], [field(other)])
    scripts.open("", ["d"])
    waiting = [*scripts.list("pending"), *scripts.redis.zrange(scripts.key("prioritized"), 0, -1)]
    assert {id_of(m): condemned(m) for m in waiting} == {
        id_of(held): "cancelled",
        id_of(inbox): "cancelled",
        id_of(other): None,
    }


@pytest.mark.parametrize("opts", ["", '{"p":5}'])
def test_a_cancelled_task_in_the_inbox_of_a_lost_worker_is_condemned(
    scripts: Scripts, opts: str
) -> None:
    of, other = message(1, opts=opts), message(2, opts=opts)
    scripts.open("c")
    scripts.open("", ["c"])
    scripts.enqueue(of, other)
    # Late requests of a connection that has broken.
    scripts.block("c")
    scripts.block("c")
    assert scripts.cancel(of) == "requested"
    assert scripts.reclaim("c") == 2
    waiting = [*scripts.list("pending"), *scripts.redis.zrange(scripts.key("prioritized"), 0, -1)]
    found = {id_of(m): condemned(m) for m in waiting}
    assert found == {id_of(of): "cancelled", id_of(other): None}


@pytest.mark.parametrize("where", ["pending", "delayed", "prioritized", "head"])
def test_a_cancelled_one_hides_no_better_one(scripts: Scripts, where: str) -> None:
    """Rule 16: the head of pending has the highest priority, and stays the first of these."""
    scripts.open("c")
    best, second = message(1, opts='{"p":9}'), message(2, opts='{"p":5}')
    scripts.enqueue_ranked(best)
    scripts.enqueue_ranked(second)
    third = message(3, opts='{"p":1}' if where == "prioritized" else "")
    if where == "delayed":
        scripts.redis.zadd(scripts.key("delayed"), {third: scripts.now() + 60_000})
    elif where == "prioritized":
        scripts.enqueue_ranked(third)
    else:
        scripts.enqueue(third)
    cancelled = best if where == "head" else third
    assert scripts.cancel(cancelled) == "cancelled"
    claimed = scripts.exchange("c", 3).claimed
    assert sorted(map(id_of, claimed)) == sorted(map(id_of, [best, second, third]))
    left = [m for m in claimed if id_of(m) != id_of(cancelled)]
    assert left == [m for m in (best, second, third) if m != cancelled]


def test_an_end_that_fails_forgets_no_cancel(scripts: Scripts) -> None:
    held = message(1, opts="{}")
    scripts.claim("c", held)
    scripts.cancel(held)
    scripts.redis.set(scripts.key("stats"), "no hash")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        scripts.exchange("c", outcomes=[Outcome(field(held), "done")])
    assert scripts.cancelled() == {id_of(held)} and set(scripts.held("c")) == {field(held)}
    scripts.redis.delete(scripts.key("stats"))


def test_promote_condemns_it(scripts: Scripts) -> None:
    of = [message(n) for n in range(3)]
    scripts.redis.zadd(scripts.key("delayed"), {m: scripts.now() - 1 for m in of})
    scripts.redis.zadd(scripts.key("cancelled"), {id_of(of[1]): scripts.now()})
    scripts.promote()
    assert [condemned(m) for m in sorted(scripts.list("pending"), key=id_of)] == [
        None,
        "cancelled",
        None,
    ]


def test_ids_are_forgotten_after_a_week(scripts: Scripts) -> None:
    scripts.enqueue(message(1))
    old = scripts.now() - 8 * 86_400_000
    scripts.redis.zadd(scripts.key("cancelled"), {b"old": old})
    scripts.cancel(message(1))
    assert scripts.cancelled() == {id_of(message(1))}


def test_while_none_is_cancelled_an_exchange_asks_once(scripts: Scripts) -> None:
    scripts.claim("c", message(1), message(2))
    scripts.redis.config_resetstat()
    scripts.exchange("c", 1, succeeded=[field(message(1))])
    stats = scripts.redis.info("commandstats")
    assert stats["cmdstat_exists"]["calls"] == 1
    assert not {"cmdstat_zmscore", "cmdstat_hkeys"} & set(stats)
    # Without the line of flags, before Redis 7, each script begins with a ZREM of nothing.
    assert ("cmdstat_zrem" in stats) != scripts.flags
