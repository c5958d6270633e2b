"""exchange.lua: outcomes."""

from __future__ import annotations

import pytest
from support.scripts import Outcome, Scripts, field, message, messages

pytestmark = pytest.mark.versions


def test_successes_are_forgotten_and_counted(scripts: Scripts) -> None:
    held = messages(range(3))
    scripts.claim("c", *held)
    reply = scripts.exchange("c", succeeded=[field(held[0]), field(held[2])])
    assert reply.claimed == []
    assert scripts.held("c") == {field(held[1]): held[1]}
    assert scripts.stats() == {"succeeded": 2}


def test_outcomes_of_messages_that_are_not_held_do_nothing(scripts: Scripts) -> None:
    held, other = messages(range(2))
    scripts.claim("c", held)
    reply = scripts.exchange(
        "c",
        succeeded=[field(other)],
        outcomes=[
            Outcome(field(other), "retry", message(1, retries=1), "5"),
            Outcome(field(other), "later", other, "5"),
            Outcome(field(other), "dead", b"{}", "1"),
            Outcome(field(other), "release"),
            Outcome(field(other), "done"),
        ],
    )
    assert (reply.claimed, reply.parked) == ([], [])
    assert scripts.held("c") == {field(held): held}
    assert (scripts.delayed(), scripts.dead(), scripts.list("pending")) == ({}, {}, [])
    assert scripts.stats() == {"succeeded": 0}


def test_an_outcome_sent_again_does_nothing(scripts: Scripts) -> None:
    held = message(1)
    scripts.claim("c", held)
    retry = Outcome(field(held), "retry", message(1, retries=1), "5")
    for sent in ([retry], [retry], [retry, retry]):
        assert scripts.exchange("c", outcomes=sent).parked == []
        assert list(scripts.delayed()) == [retry.payload] and scripts.stats()["retried"] == 1


@pytest.mark.parametrize(("kind", "counted"), [("retry", {"retried": 1}), ("later", {})])
def test_a_retry_waits_for_its_delay_by_the_clock_of_redis(
    scripts: Scripts, kind: str, counted: dict[str, int]
) -> None:
    held, new = message(1), message(1, retries=1)
    scripts.claim("c", held)
    reply = scripts.exchange("c", outcomes=[Outcome(field(held), kind, new, "4321")])
    assert scripts.delayed() == {new: reply.now + 4321}
    assert scripts.held("c") == {} and scripts.list("pending") == []
    assert scripts.stats() == counted


@pytest.mark.parametrize("kind", ["later", "release"])
def test_an_outcome_of_an_earlier_attempt_replaces_no_message(scripts: Scripts, kind: str) -> None:
    """Rule 22: a snooze and a drain leave the field as it is. A model of the protocol has found
    these steps."""
    first, second, third = (
        message(1, opts=opts, args=args)
        for opts, args in (("", b"[]"), ('{"s":1}', b"[]"), ('{"s":1,"b":1}', b'["saved"]'))
    )
    assert field(first) == field(second) == field(third)
    outcome = Outcome(field(first), kind, second, "0" if kind == "later" else "")
    # The connection of a worker breaks. Redis still executes its last exchange...
    scripts.claim("old", first)
    scripts.exchange("old", outcomes=[outcome])
    scripts.promote()
    # ... another worker makes the next attempt, which a drain cuts off...
    scripts.open("other")
    assert scripts.exchange("other", 1).claimed == [second]
    scripts.exchange("other", outcomes=[Outcome(field(second), "release", third)])
    # ... and a late BLMOVE brings this message to the first, which then opens again.
    assert scripts.block("old") == third
    assert scripts.open("new", ["old"], [field(first)]) == [field(first)]
    scripts.exchange("new", outcomes=[outcome])
    assert scripts.list("pending") == [third]
    assert scripts.delayed() == {} and scripts.held("new") == {}


def test_a_retry_that_waits_already_is_parked_and_does_not_move_the_other(
    scripts: Scripts,
) -> None:
    held, new = message(1), message(1, retries=1)
    scripts.redis.zadd(scripts.key("delayed"), {new: 5})
    scripts.claim("c", held)
    reply = scripts.exchange("c", outcomes=[Outcome(field(held), "retry", new, "4321")])
    assert reply.parked == [field(held)]
    assert scripts.delayed() == {new: 5} and scripts.dead()[field(held)][0] == held
    assert scripts.held("c") == {}


def test_a_dead_task_is_kept_with_its_reason(scripts: Scripts) -> None:
    held = message(1, retries=3)
    scripts.claim("c", held)
    before = scripts.now()
    scripts.exchange("c", outcomes=[Outcome(field(held), "dead", b'{"reason":"failed"}')])
    assert scripts.dead() == {field(held): (held, b'{"reason":"failed"}')}
    score = scripts.redis.zscore(scripts.key("dead"), field(held))
    assert before <= score <= scripts.now()
    assert scripts.held("c") == {} and scripts.stats() == {"dead": 1}


def test_without_save_dead_it_is_counted_only(scripts: Scripts) -> None:
    held = message(1)
    scripts.claim("c", held)
    scripts.exchange("c", outcomes=[Outcome(field(held), "dead", b"{}")], save_dead=False)
    assert scripts.dead() == {} and scripts.held("c") == {}
    assert scripts.stats() == {"dead": 1}


def test_a_task_that_could_not_run_is_kept_even_without_save_dead(scripts: Scripts) -> None:
    held = message(1)
    scripts.claim("c", held)
    scripts.exchange("c", outcomes=[Outcome(field(held), "dead", b"{}", "1")], save_dead=False)
    assert scripts.dead() == {field(held): (held, b"{}")}
    scripts.enqueue(b"garbage")
    scripts.exchange("c", 5, save_dead=False)
    assert len(scripts.dead()) == 2


def test_released_messages_return_and_are_next(scripts: Scripts) -> None:
    plain, suspect, waiting = message(1), message(2, deliveries=2), message(3)
    scripts.claim("c", plain, suspect)
    scripts.enqueue(waiting)
    scripts.exchange(
        "c",
        outcomes=[Outcome(field(plain), "release"), Outcome(field(suspect), "release")],
    )
    assert scripts.list("pending") == [plain, waiting]
    assert scripts.list("suspects") == [suspect]
    assert scripts.held("c") == {} and scripts.stats() == {}


@pytest.mark.parametrize(
    ("deliveries", "home"), [(0, "pending"), (1, "pending"), (2, "suspects"), (12, "suspects")]
)
def test_home_is_where_the_losses_say(scripts: Scripts, deliveries: int, home: str) -> None:
    # Rule 12.
    held = message(1, deliveries=deliveries, retries=2)
    scripts.claim("c", held)
    scripts.exchange("c", outcomes=[Outcome(field(held), "release")])
    assert scripts.list(home) == [held]


def test_successes_and_other_outcomes_of_one_exchange_keep_apart(scripts: Scripts) -> None:
    held = messages(range(6))
    scripts.claim("c", *held)
    waiting = message(9)
    scripts.enqueue(waiting)
    reply = scripts.exchange(
        "c",
        1,
        succeeded=[field(held[0]), field(held[1])],
        outcomes=[
            Outcome(field(held[2]), "retry", message(2, retries=1), "10"),
            Outcome(field(held[3]), "dead", b'{"reason":"failed"}'),
            Outcome(field(held[4]), "release"),
        ],
    )
    # The script applies outcomes first, so it claims the released task next.
    assert reply.claimed == [held[4]]
    assert set(scripts.held("c").values()) == {held[5], held[4]}
    assert list(scripts.delayed()) == [message(2, retries=1)]
    assert list(scripts.dead()) == [field(held[3])]
    assert scripts.stats() == {"succeeded": 2, "retried": 1, "dead": 1}


def test_an_error_loses_no_message(scripts: Scripts) -> None:
    # Another program has changed the type of the keys that outcomes go to.
    held = messages(range(3))
    scripts.claim("c", *held)
    for kind in ("delayed", "pending", "dead:messages"):
        scripts.redis.set(scripts.key(kind), "oops")
    for outcome in (
        Outcome(field(held[0]), "retry", message(0, retries=1), "10"),
        Outcome(field(held[1]), "release"),
        Outcome(field(held[2]), "dead", b"{}"),
    ):
        with pytest.raises(Exception, match="WRONGTYPE"):
            scripts.exchange("c", outcomes=[outcome])
    assert set(scripts.held("c").values()) == set(held)
