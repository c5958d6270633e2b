"""A scheduler mends the limits of all queues: what lost writes and deleted lists have left."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import key
from fluxqueue_core.service import log
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.limits import FORGOTTEN, INTERVAL, KEYS_IN_CALL, PLACE_AGE, LimitMender
from fluxqueue_scheduler.queues import RegisteredQueues
from support.limited import KEY, NAME, enqueue, limited, places
from support.log_lines import Lines
from support.scripts import Scripts, field

pytestmark = pytest.mark.versions


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(log, "_logger", lines.logger("debug"))
    return lines


def mender(control: RedisClient, redis: Any, *names: str, interval: float = 0.0) -> LimitMender:
    """Looks at these queues."""
    redis.sadd(key("queues"), *names)
    error_log = ErrorLog()
    queues = RegisteredQueues(error_log)
    queues.refresh(control)
    return LimitMender(control, queues, error_log, interval=interval)


def lose_called(scripts: Any, digest: str = KEY) -> None:
    """An operator has deleted the list with the admitted messages, more than a day ago."""
    scripts.redis.delete(scripts.key("pending"))
    name = scripts.key("limit:places", digest)
    then = -(scripts.now() - PLACE_AGE - 1)
    scripts.redis.zadd(name, dict.fromkeys(scripts.redis.zrange(name, 0, -1), then))


def test_a_lost_place_is_freed_and_the_next_task_is_called(
    control: RedisClient, scripts: Scripts, lines: Lines
) -> None:
    one, two = limited(1), limited(2)
    enqueue(scripts, one, two)
    lose_called(scripts)
    under_test = mender(control, scripts.redis, scripts.queue)
    assert under_test.step() == 0.0
    assert scripts.list("pending") == [two] and list(places(scripts)) == [field(two)]
    [line] = [line for line in lines if line["event"] == "limit.mended"]
    assert (line["queue"], line["places"]) == (scripts.queue, 1)
    # The place of the next one is young, and its message waits.
    under_test.step()
    assert scripts.list("pending") == [two] and list(places(scripts)) == [field(two)]


def test_all_pages_and_all_queues_are_looked_at(control: RedisClient, redis: Any) -> None:
    queues = [Scripts(redis, name) for name in ("a", "b")]
    # More keys than a hash of few fields keeps together: HSCAN returns those in one page.
    digests = [f"{NAME}{number:016x}" for number in range(7 * KEYS_IN_CALL)]
    for scripts in queues:
        enqueue(scripts, *(limited(n, key=digest) for n, digest in enumerate(digests)))
        for digest in digests:
            lose_called(scripts, digest)
    under_test = mender(control, redis, "a", "b", "empty")
    steps = 0
    while any(redis.keys(scripts.key("limit:places", "*")) for scripts in queues):
        under_test.step()
        steps += 1
        assert steps < 50
    assert steps > 6
    assert not redis.exists(*(scripts.key("limits:texts") for scripts in queues))


def test_a_rule_that_no_worker_declares_is_forgotten_after_a_week(
    control: RedisClient, scripts: Scripts
) -> None:
    for name in (NAME, "b" * 16):
        scripts.call("limit_rules", ["declare", 0, name, "2:0:1 a"])
    seen = scripts.key("limits:seen")
    old = scripts.now() - FORGOTTEN - 1
    scripts.redis.zadd(seen, {f"{NAME}\0002:0:1 a": old})
    mender(control, scripts.redis, scripts.queue).step()
    assert scripts.redis.hgetall(scripts.key("limits:rules")) == {b"d" + b"b" * 16: b"2:0:1 a"}
    assert scripts.redis.zcard(seen) == 1


def test_a_queue_in_trouble_does_not_keep_others_from_their_turn(
    control: RedisClient, redis: Any, lines: Lines
) -> None:
    good, bad = Scripts(redis, "good"), Scripts(redis, "bad")
    one = limited(1)
    enqueue(good, one)
    lose_called(good)
    redis.set(bad.key("limits:texts"), "not a hash")
    under_test = mender(control, redis, "good", "bad")
    for _ in range(2):
        under_test.step()
    assert places(good) == {}
    [line] = [line for line in lines if line["event"] == "queue.failed"]
    assert (line["queue"], line["doing"]) == ("bad", "mend its limits")
    redis.delete(bad.key("limits:texts"))


def test_the_first_look_is_an_hour_after_the_start(control: RedisClient, scripts: Scripts) -> None:
    one = limited(1)
    enqueue(scripts, one)
    lose_called(scripts)
    under_test = mender(control, scripts.redis, scripts.queue, interval=INTERVAL)
    assert under_test.step() > INTERVAL - 60
    assert list(places(scripts)) == [field(one)]
