"""Why a task does not run."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_control import pausing, strikes, tasks
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.why import explain
from fluxqueue_core import dead_reason
from support.scripts import DAY, Outcome, Scripts, field, message

pytestmark = pytest.mark.versions
LIMIT = "1" * 32


def serve(scripts: Scripts, redis: Any, slots: int = 2) -> None:
    """Opens a worker with a long lease."""
    scripts.open("c", who=f'{{"host":"h","pid":7,"slots":{slots}}}')
    redis.zadd(scripts.key("consumers"), {"c": scripts.now() + DAY})


def why(control: RedisClient, of: bytes) -> dict[str, str]:
    """The texts by their causes."""
    found = tasks.find(control, "q", of[13:49].decode()).task
    assert found is not None
    return {each.cause: each.text for each in explain(control, "q", found)}


def test_the_next_task_has_no_obstacle(scripts: Scripts, redis: Any, control: RedisClient) -> None:
    scripts.enqueue(message(1))
    assert list(why(control, message(1))) == ["unserved"]
    serve(scripts, redis)
    assert list(why(control, message(1))) == ["next"]


def test_a_task_that_waits_has_all_its_obstacles(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    serve(scripts, redis, slots=1)
    scripts.claim("c", message(1))
    redis.zadd(scripts.key("consumers"), {"c": scripts.now() + DAY})
    scripts.enqueue(message(2), message(3, args=b'[{"id":7}]'))
    pausing.pause(control, "q")
    rule = strikes.Strike("n", "0.id", 7)
    strikes.strike(control, "q", rule)
    found = why(control, message(3, args=b'[{"id":7}]'))
    assert list(found) == ["paused", "struck", "busy"]
    assert rule.id in found["struck"]
    assert found["busy"] == "all 1 slots of 1 workers are busy; 1 tasks are before it"
    strikes.lift(control, "q", rule.id)
    pausing.resume(control, "q")
    assert list(why(control, message(2))) == ["busy"]
    assert why(control, message(1)) == {"running": "worker h:7 has it, and runs it or will soon"}
    scripts.end_lease("c")
    assert "rescues it" in why(control, message(1))["lost"]


def test_a_delayed_task_waits_for_its_time_its_name_or_a_scheduler(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    serve(scripts, redis)
    unknown = message(2)[:-1] + b',"unknown_since":1764430000000}'
    now = scripts.now()
    due = {message(1): now + 90_000, unknown: now + 5_000, message(3): now - 60_000}
    redis.zadd(scripts.key("delayed"), due)
    assert why(control, message(1))["delayed"].startswith("it is due in ")
    found = why(control, unknown)
    assert list(found) == ["delayed", "unknown_name"] and "'n'" in found["unknown_name"]
    assert "no scheduler" in why(control, message(3))["overdue"]


def test_a_limited_task_waits_for_a_place(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    serve(scripts, redis)
    limited = [message(number, opts=f'{{"l":"{LIMIT}:1:0:1"}}') for number in (1, 2, 3)]
    for each in limited:
        scripts.enqueue_unique(("+0 limit 1 n", each))
    assert list(why(control, limited[0])) == ["next"]
    found = why(control, limited[2])["limited"]
    assert found.endswith("1 of 1 places taken; 1 tasks of its key are before it")
    scripts.exchange("c", 10)
    assert why(control, limited[1])["limited"].endswith("it is the next")


def test_a_dead_or_condemned_task_is_told_apart(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    serve(scripts, redis)
    scripts.claim("c", message(1))
    reason = dead_reason("rejected", "no")
    scripts.exchange("c", outcomes=[Outcome(field(message(1)), "dead", reason, "1")])
    redis.zadd(scripts.key("consumers"), {"c": scripts.now() + DAY})
    redis.rpush(scripts.key("suspects"), message(2, deliveries=2))
    scripts.enqueue(message(3, opts='{"e":2}'))
    assert "(rejected)" in why(control, message(1))["dead"]
    assert list(why(control, message(2))) == ["suspect"]
    assert "cancelled" in why(control, message(3))["condemned"]
