"""The audit: each change writes who, what and the outcome, in the same step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fluxqueue_control import (
    audit,
    cancelling,
    dead,
    deleting,
    limits,
    pausing,
    periodic,
    purge,
    requeue,
    strikes,
    tasks,
)
from fluxqueue_control.actor import acting, actor
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import dead_reason
from fluxqueue_core.limits import LimitRules
from fluxqueue_core.periodic import record
from fluxqueue_core.periodic.times import Times
from redis.exceptions import ResponseError
from support.scripts import DAY, Outcome, Scripts, field, message

pytestmark = pytest.mark.versions


def die(scripts: Scripts, *raw: bytes) -> None:
    scripts.claim("c", *raw)
    why = dead_reason("failed", "it broke")
    scripts.exchange("c", outcomes=[Outcome(field(one), "dead", why, "1") for one in raw])


def written(control: RedisClient) -> list[tuple[str, str, dict[str, int]]]:
    """What, on and outcome, the oldest first."""
    entries = audit.read_page(control, "q", limit=1_000).entries[::-1]
    return [(entry.what, entry.on, dict(entry.outcome)) for entry in entries]


def task_id(number: int) -> str:
    return message(number)[13:49].decode()


def test_each_change_writes_an_entry(scripts: Scripts, redis: Any, control: RedisClient) -> None:
    die(scripts, *(message(number) for number in (1, 2, 3, 4)))
    redis.zadd(scripts.key("delayed"), {message(5): scripts.now() + DAY})
    pausing.pause(control, "q")
    pausing.pause(control, "q")
    pausing.resume(control, "q")
    some = dead.read_page(control, "q", limit=2).tasks
    requeue.requeue(control, "q", some)
    requeue.requeue(control, "q", some[:1])
    deleting.delete_dead(control, "q", [(b"none", 1.0)])
    tasks.run_now(control, "q", task_id(5))
    tasks.delete(control, "q", task_id(5))
    cancelling.cancel(control, "q", task_id(99))
    limits.override(control, "q", "n", LimitRules(1, 0, 1))
    limits.clear(control, "q", "n")
    rule = strikes.Strike("n", "secret", "value")
    strikes.strike(control, "q", rule)
    strikes.lift(control, "q", rule.id)
    first = some[0].entry.decode()
    assert written(control) == [
        ("pause", "the queue", {"paused": 1}),
        ("pause", "the queue", {"unchanged": 1}),
        ("resume", "the queue", {"resumed": 1}),
        ("replay", "2 dead tasks", {"done": 2}),
        ("replay", first, {"absent": 1}),
        ("delete", "none", {"absent": 1}),
        ("run now", task_id(5), {"done": 1}),
        ("delete", task_id(5), {"done": 1}),
        ("cancel", task_id(99), {"already_done": 1}),
        ("limit set", "n: 1 at once", {"changed": 1}),
        ("limit clear", "n", {"cleared": 1}),
        ("strike", f"{rule.id}: n by secret", {"struck": 1}),
        ("strike lift", rule.id, {"lifted": 1}),
    ]


def test_a_change_of_many_calls_writes_two_entries(scripts: Scripts, control: RedisClient) -> None:
    die(scripts, *(message(number) for number in range(1, 251)))
    assert len(list(requeue.replay(lambda: control, "q", limit=120))) == 120
    assert list(purge.purge(control, "q", "dead"))[-1] == 130
    interrupted: Any = purge.purge(control, "q", "waiting")
    removed = next(interrupted)
    interrupted.close()
    assert written(control) == [
        ("replay", "dead tasks, 120 at most", {"begun": 1}),
        ("replay", "dead tasks, 120 at most", {"done": 120, "ended": 1}),
        ("purge", "dead", {"begun": 1}),
        ("purge", "dead", {"done": 130, "ended": 1}),
        ("purge", "waiting", {"begun": 1}),
        ("purge", "waiting", {"done": removed, "stopped": 1}),
    ]


def test_periodic_changes_are_written_and_a_run_that_changed_nothing_is_not(
    scripts: Scripts, control: RedisClient
) -> None:
    raw = message(28)
    made = record.make(record.Rules("n", Times(every=1_000)), raw, declared=False)
    scripts.call("schedule", ["set", "entry", made, raw])
    periodic.pause(control, "q", "entry")
    assert periodic.run_now(control, "q", "entry") is not None
    periodic.resume(control, "q", "entry")
    periodic.remove(control, "q", "entry")
    assert periodic.run_now(control, "q", "entry") is None
    assert written(control) == [
        ("periodic pause", "entry", {"paused": 1}),
        ("periodic run", "entry", {"done": 1}),
        ("periodic resume", "entry", {"resumed": 1}),
        ("periodic remove", "entry", {"removed": 1}),
    ]


def test_an_entry_says_who_and_when(scripts: Scripts, control: RedisClient) -> None:
    before = scripts.now()
    pausing.pause(control, "q")
    with acting("ann"):
        pausing.resume(control, "q")
        with acting(""):
            pausing.resume(control, "q")
    entries = audit.read_page(control, "q").entries
    assert [entry.who for entry in entries] == ["ann", "ann", actor()]
    assert "@" in actor()
    assert all(before <= entry.at * 1_000 <= scripts.now() for entry in entries)


def test_pages_have_each_entry_once(control: RedisClient) -> None:
    for _ in range(5):
        pausing.pause(control, "q")
    seen, cursor = [], None
    while True:
        page = audit.read_page(control, "q", cursor, 2)
        seen += [entry.id for entry in page.entries]
        if (cursor := page.cursor) is None:
            break
    assert len(seen) == len(set(seen)) == 5 and seen == sorted(seen, reverse=True)
    for wrong in ("", "x", "1", "+"):
        with pytest.raises(ValueError, match="cursor"):
            audit.read_page(control, "q", wrong)
    with pytest.raises(ValueError, match="limit"):
        audit.read_page(control, "q", limit=0)


def test_the_audit_is_bounded(redis: Any, control: RedisClient) -> None:
    stream = "fluxqueue:{q}:audit"
    pipeline = redis.pipeline(transaction=False)
    for _ in range(12_000):
        pipeline.xadd(stream, {"who": "w"})
    pipeline.execute()
    pausing.pause(control, "q")
    assert 10_000 <= redis.xlen(stream) <= 10_200


def test_a_change_that_can_not_be_written_is_not_made(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    redis.set("fluxqueue:{q}:audit", "text")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        pausing.pause(control, "q")
    assert not redis.exists(scripts.key("paused"))
    redis.delete("fluxqueue:{q}:audit")


def test_an_entry_of_another_program_is_shown_as_far_as_it_can_be(
    redis: Any, control: RedisClient
) -> None:
    redis.xadd("fluxqueue:{q}:audit", {b"\xff": b"\xff", "outcome": "done=x =3 held=2"})
    [entry] = audit.read_page(control, "q").entries
    assert (entry.who, entry.what, dict(entry.outcome)) == ("", "", {"held": 2})


def test_nothing_is_written_without_a_change(scripts: Scripts, control: RedisClient) -> None:
    die(scripts, message(1))
    dead.read_page(control, "q")
    tasks.find(control, "q", task_id(1))
    assert json.dumps(written(control)) == "[]"
    assert not scripts.redis.exists("fluxqueue:{q}:audit")
