"""Calls that the script `enqueue` writes, with a verdict on each.

No public method returns the verdicts, so these tests use internal ones of the core.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from fluxqueue_core import Route, new_task_id, parse_message, script, script_keys
from fluxqueue_core.errors import (
    BrokerError,
    ConfigurationError,
    MessageTooLarge,
)
from support.producing import ROUTE, argument, numbers, producer
from support.scripts import Scripts
from support.verdicts import (
    Way,
    bulk,
    each_way,
    ids,
    one_async,
    sync,
)

pytestmark = pytest.mark.versions

SCRIPTED = Route("q", "task", delay=0)
HOUR = 3_600_000
LATER = Route("q", "task", delay=HOUR)


def calls_of(redis: Any, command: str) -> int:
    return int(redis.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


@each_way
def test_calls_that_are_due_at_once_wait_in_order(way: Way, redis_url: str, redis: Any) -> None:
    sent = ids(5)
    assert way(producer(redis_url), sent) == [(task_id, None) for task_id in sent]
    assert numbers(redis) == [0, 1, 2, 3, 4]


@each_way
def test_a_delay_counts_by_the_clock_of_redis(way: Way, redis_url: str, scripts: Scripts) -> None:
    sent = ids(2)
    before = scripts.now()
    assert way(producer(redis_url), sent, delay=HOUR) == [(task_id, None) for task_id in sent]
    delayed = scripts.delayed()
    assert sorted(argument(raw) for raw in delayed) == [0, 1]
    assert all(before + HOUR <= due <= scripts.now() + HOUR for due in delayed.values())
    assert scripts.list("pending") == []


@each_way
def test_a_time_is_kept_and_a_past_one_is_now(way: Way, redis_url: str, scripts: Scripts) -> None:
    due = scripts.now() + HOUR
    way(producer(redis_url), ids(1), at=due)
    assert list(scripts.delayed().values()) == [due]
    way(producer(redis_url), ids(2), at=1)
    assert [argument(raw) for raw in scripts.list("pending")] == [0, 1]


def test_a_delayed_message_says_when_it_is_due(redis_url: str, scripts: Scripts) -> None:
    sender = producer(redis_url)
    at = scripts.now() + HOUR
    sender.enqueue(Route("q", "task", at=at), (), {})
    sender.enqueue(LATER, (), {})
    chosen = "9b2f1c1e-0000-4000-8000-000000000000"
    sender.enqueue(LATER, (), {}, None, chosen)
    sender.enqueue(SCRIPTED, (), {})
    due = sorted(json.loads(raw)["due"] - at for raw in scripts.delayed())
    assert due[0] == 0 and all(0 <= ms < 600_000 for ms in due[1:]) and len(due) == 3
    times = {raw[13:49].decode(): json.loads(raw) for raw in scripts.delayed()}
    assert times[chosen]["due"] == times[chosen]["enqueued_at"] + HOUR
    [at_once] = scripts.list("pending")
    assert "due" not in json.loads(at_once)


@each_way
def test_each_call_has_its_own_verdict(way: Way, redis_url: str, scripts: Scripts) -> None:
    """The same message, to the byte, is in the delayed set already."""
    due = scripts.now() + HOUR
    sender = producer(redis_url)
    first, second, third = ids(3)
    way(sender, [first, second], at=due)
    verdicts = way(sender, [first, third, new_task_id()], at=due)
    assert verdicts[:2] == [(first, first), (third, None)]
    assert verdicts[2][1] is None
    assert len(scripts.delayed()) == 4


@each_way
def test_a_server_that_forgets_the_script_learns_it_again(
    way: Way, redis_url: str, redis: Any
) -> None:
    sender = producer(redis_url)
    for round_ in range(3):
        redis.script_flush()
        redis.config_resetstat()
        sent = ids(3)
        assert way(sender, sent) == [(task_id, None) for task_id in sent]
        assert numbers(redis) == [0, 1, 2] * (round_ + 1)
        assert calls_of(redis, "eval") == 1
    redis.config_resetstat()
    way(sender, ids(3))
    assert calls_of(redis, "eval") == 0


@each_way
def test_a_new_thread_or_loop_needs_no_text(way: Way, redis_url: str, redis: Any) -> None:
    way(producer(redis_url), ids(1))
    redis.config_resetstat()
    thread = threading.Thread(target=way, args=(producer(redis_url), ids(1)))
    thread.start()
    thread.join()
    assert (calls_of(redis, "eval"), calls_of(redis, "evalsha")) == (0, 1)
    assert numbers(redis) == [0, 0]


@each_way
@pytest.mark.parametrize(("kind", "due"), [("pending", {}), ("delayed", {"delay": HOUR})])
def test_a_refused_command_enqueues_nothing(
    way: Way, kind: str, due: dict[str, int], redis_url: str, scripts: Scripts
) -> None:
    scripts.redis.set(scripts.key(kind), "another program's")
    with pytest.raises(BrokerError, match=r"WRONGTYPE.*not enqueued"):
        way(producer(redis_url), ids(2), **due)
    assert scripts.redis.keys() == [scripts.key(kind).encode()]


def test_a_command_with_calls_of_both_kinds_writes_all_or_nothing(scripts: Scripts) -> None:
    message = b'{"v":1,"id":"%b","name":"n","args":[]}'
    arguments = ["+0", message % new_task_id().encode(), "+60000", message % new_task_id().encode()]
    keys = script_keys("enqueue", "q")

    def call() -> Any:
        return scripts.redis.eval(script("enqueue"), len(keys), *keys, *arguments)

    scripts.redis.set(scripts.key("delayed"), "another program's")
    with pytest.raises(Exception, match="WRONGTYPE"):
        call()
    assert scripts.list("pending") == []
    scripts.redis.flushdb()
    assert call() == [1, 1]
    assert (len(scripts.list("pending")), len(scripts.delayed())) == (1, 1)


def test_the_script_fails_at_maxmemory_as_a_push_does(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)
    sync(sender, ids(1))
    redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(BrokerError, match="OOM"):
            sync(sender, ids(1))
        with pytest.raises(BrokerError, match="OOM"):
            sync(sender, ids(1), delay=HOUR)
        with pytest.raises(BrokerError, match="OOM"):
            sender.enqueue(ROUTE, (1,), {})
    finally:
        redis.config_set("maxmemory", "0")
    assert numbers(redis) == [0]


def test_pushes_and_scripts_of_one_turn_have_a_command_each(redis_url: str, redis: Any) -> None:
    sender: Any = producer(redis_url)
    sent = ids(3)

    async def run() -> tuple[Any, ...]:
        return await asyncio.gather(
            one_async(sender, SCRIPTED, 1, sent[0]),
            sender.enqueue_async(ROUTE, (2,), {}),
            one_async(sender, LATER, 3, sent[1]),
            sender.enqueue_async(ROUTE, (4,), {}),
            one_async(sender, SCRIPTED, 5, sent[2]),
        )

    sync(sender, ids(1))  # The server knows the script from now on.
    redis.flushdb()
    redis.config_resetstat()
    results = asyncio.run(run())
    assert [*results] == [[(sent[0], None)], None, [(sent[1], None)], None, [(sent[2], None)]]
    assert (calls_of(redis, "evalsha"), calls_of(redis, "eval")) == (1, 0)
    assert sorted(numbers(redis)) == [1, 2, 4, 5]


def test_a_large_bulk_has_a_verdict_on_each_call(redis_url: str, redis: Any) -> None:
    redis.script_flush()
    sent = ids(2_500)
    assert bulk(producer(redis_url), sent) == [(task_id, None) for task_id in sent]
    assert numbers(redis) == list(range(2_500))


def test_a_scripted_call_is_a_message_that_workers_run(redis_url: str, scripts: Scripts) -> None:
    scripts.open("c")
    sync(producer(redis_url), ids(1), delay=0)
    [claimed] = scripts.exchange("c", 1).claimed
    assert argument(claimed) == 0


def test_public_methods_send_scripted_calls_too(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)

    async def run() -> Any:
        return await asyncio.gather(
            sender.enqueue_async(SCRIPTED, (3,), {}, result="given"),
            sender.enqueue_chunk_async(SCRIPTED, [(4,), (5,)], lambda _: None),
            sender.enqueue_async(SCRIPTED, (6,), {}),
        )

    sender.enqueue(SCRIPTED, (0,), {})
    assert sender.enqueue_many(SCRIPTED, [(1,), (2,)], lambda _: None) == 2
    assert [*asyncio.run(run())] == ["given", None, None]
    assert numbers(redis) == [0, 1, 2, 3, 4, 5, 6]


def test_a_route_has_one_due_time() -> None:
    with pytest.raises(ValueError, match="a delay or a time, not both"):
        Route("q", "task", delay=1, at=2)
    assert [Route("q", "task").scripted, SCRIPTED.scripted] == [False, True]
    assert Route("q", "task", at=0).scripted


def test_a_scripted_call_has_the_limit_of_bytes(redis_url: str, redis: Any) -> None:
    with pytest.raises(MessageTooLarge):
        producer(redis_url, max_message_bytes=1_000).enqueue(SCRIPTED, ("x" * 1_000,), {})
    assert numbers(redis) == []


def options(message: bytes) -> dict[str, Any]:
    opts: dict[str, Any] = json.loads(message).get("opts", {})
    return opts


def test_an_expiry_from_the_call_on_becomes_a_moment_by_the_clock_of_redis(
    redis_url: str, scripts: Scripts
) -> None:
    route = Route("q", "task", expires=60.0, result_ttl=5.0)
    later = Route("q", "task", expires=60.0, result_ttl=5.0, delay=HOUR)
    sender: Any = producer(redis_url, max_message_bytes=1_000)
    long_name = "x" * 880
    before = scripts.now()
    sender.enqueue(route, (1,), {})
    sender.enqueue_many(route, [(long_name,), ('"x":"+00000060000"',)], lambda _: None)
    sender.enqueue(later, (4,), {})
    after = scripts.now()
    waiting = scripts.list("pending")
    assert [argument(m) for m in waiting] == [1, long_name, '"x":"+00000060000"']
    for message in (*waiting, *scripts.delayed()):
        found = options(message)
        assert before + 60_000 <= found["x"] <= after + 60_000
        assert found == {"x": found["x"], "r": 5_000}
        assert parse_message(message)["expires"] == found["x"]
    # The client has measured a message that does not grow.
    with pytest.raises(MessageTooLarge, match="has 1001 bytes"):
        sender.enqueue(route, ("x" * (1_000 - len(waiting[1]) + len(long_name)),), {})
    assert len(waiting[1]) < 1_000


def test_options_without_need_of_a_script_are_one_push(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)
    redis.config_resetstat()
    sender.enqueue(Route("q", "task", expires_at=9_999_999_999_999, result_ttl=1.5), (1,), {})
    assert calls_of(redis, "lpush") == 1 and calls_of(redis, "evalsha") == 0
    [message] = redis.lrange("fluxqueue:{q}:pending", 0, -1)
    assert options(message) == {"x": 9_999_999_999_999, "r": 1_500}


@pytest.mark.parametrize(
    ("term", "value", "text"),
    [
        ("priority", 10, 'the priority of task "task" is 10; give 0 to 9'),
        ("priority", 256, "priority is 256; give 0 to 9"),
        ("expires", 0, "is 0; give seconds above 0, at most a year"),
        ("expires_at", 10**13, "is 10000000000000; give milliseconds since 1970"),
        ("result_ttl", -1, "is -1; give seconds above 0"),
    ],
)
def test_an_option_out_of_range_is_refused(term: str, value: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Route("q", "task", **{term: value})
