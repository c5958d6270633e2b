"""enqueue_many and enqueue_many_async on a real Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue import (
    ArgumentTypeError,
    BrokerError,
    EnqueueUncertain,
    FluxQueue,
    FluxQueueError,
    MessageTooLarge,
)
from fluxqueue_core import key, parse_message
from support.scripted_redis import CLOSE, SILENCE, ScriptedRedis, integer
from support.waiting import seconds_since

Send = Callable[[Any, Any], int]


def sync(task: Any, calls: Any) -> int:
    return int(task.enqueue_many(calls))


def in_loop(task: Any, calls: Any) -> int:
    return int(asyncio.run(task.enqueue_many_async(calls)))


BOTH = pytest.mark.parametrize("send", [sync, in_loop])


def work(number: int, text: str = "") -> None: ...


async def async_work(number: int, text: str = "") -> None: ...


def numbers(redis: Any) -> list[int]:
    raw = reversed(redis.lrange(key("pending", "q"), 0, -1))
    return [json.loads(parse_message(message)["args"])[0] for message in raw]


@BOTH
@pytest.mark.parametrize("function", [work, async_work])
def test_many_arrive_in_order(redis_url: str, redis: Any, send: Send, function: Any) -> None:
    task = FluxQueue(redis_url).task(queue="q")(function)
    assert send(task, ((n,) for n in range(12_345))) == 12_345
    assert numbers(redis) == list(range(12_345))


@BOTH
def test_tuples_and_mappings(redis_url: str, redis: Any, send: Send) -> None:
    task = FluxQueue(redis_url).task(queue="q")(work)
    assert send(task, [(1,), {"number": 2, "text": "x"}, (3, "y")]) == 3
    parsed = [parse_message(m) for m in reversed(redis.lrange(key("pending", "q"), 0, -1))]
    assert [(json.loads(m["args"]), json.loads(m["kwargs"] or b"null")) for m in parsed] == [
        ([1], None),
        ([], {"number": 2, "text": "x"}),
        ([3, "y"], None),
    ]
    assert len({m["task_id"] for m in parsed}) == 3


@BOTH
def test_a_bulk_without_calls_sends_no_command(send: Send) -> None:
    with ScriptedRedis() as server:
        assert send(FluxQueue(server.url).task()(work), []) == 0
        assert server.pushed == []


@BOTH
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (({1},), "argument number is a set"),
        ((), "work() missing 1 required positional argument: 'number'"),
        ([1], "it is a list"),
    ],
)
def test_a_bad_call_in_the_middle(
    redis_url: str, redis: Any, send: Send, bad: Any, said: str
) -> None:
    task = FluxQueue(redis_url).task(queue="q")(work)
    calls = [(n,) for n in range(5432)]
    with pytest.raises(ArgumentTypeError) as caught:
        send(task, [*calls, bad, *calls])
    text, enqueued = str(caught.value), caught.value.enqueued
    assert f"call 5432 ({enqueued} calls were enqueued before it): {said}" in text
    # Exactly that many are in Redis, and they are the first ones.
    assert numbers(redis) == list(range(enqueued))
    assert enqueued >= 4000


@BOTH
def test_one_message_that_is_too_large_ends_the_bulk(
    redis_url: str, redis: Any, send: Send
) -> None:
    task = FluxQueue(redis_url, max_message_bytes=500).task(queue="q")(work)
    with pytest.raises(MessageTooLarge) as caught:
        send(task, [*((n,) for n in range(3000)), (1, "x" * 500)])
    assert numbers(redis) == list(range(caught.value.enqueued))
    text = str(caught.value)
    assert f"call 3000 ({caught.value.enqueued} calls were enqueued before it): its message" in text


@BOTH
def test_an_error_of_the_iterable(redis_url: str, redis: Any, send: Send) -> None:
    def calls() -> Iterator[tuple[int]]:
        for number in range(3500):
            yield (number,)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        send(FluxQueue(redis_url).task(queue="q")(work), calls())
    enqueued = caught.value.enqueued  # type: ignore[attr-defined]
    assert numbers(redis) == list(range(enqueued))
    assert f"{enqueued} calls were enqueued before this error" in caught.value.__notes__[0]


@BOTH
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", BrokerError),
        (CLOSE, EnqueueUncertain),
    ],
)
def test_redis_fails_at_the_third_command(
    send: Send, answer: Any, kind: type[FluxQueueError]
) -> None:
    refused: list[int] = []

    def script(number: int, command: list[bytes]) -> Any:
        if number < 2:
            return integer(number, command)
        refused.append(number)
        return answer

    with ScriptedRedis(script) as server:
        task = FluxQueue(server.url, timeout=5).task(queue="q")(work)
        with pytest.raises(kind) as caught:
            send(task, ((n,) for n in range(20_000)))
        accepted = sum(len(command) - 2 for command in server.pushed[:2])
        assert caught.value.enqueued == accepted
        assert f"{accepted} calls were enqueued before this error" in str(caught.value)
        assert refused


@BOTH
def test_ctrl_c_while_calls_are_made_does_not_wait_for_answers(send: Send) -> None:
    def calls() -> Iterator[tuple[int]]:
        for number in range(1500):
            yield (number,)
        raise KeyboardInterrupt

    with ScriptedRedis(lambda number, command: SILENCE) as server:
        task = FluxQueue(server.url, timeout=12).task(queue="q")(work)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            send(task, calls())
        assert seconds_since(started) < 10, "it waited for an answer that does not come"


@BOTH
def test_the_next_calls_work_after_an_error(redis_url: str, redis: Any, send: Send) -> None:
    task = FluxQueue(redis_url).task(queue="q")(work)
    with pytest.raises(ArgumentTypeError):
        send(task, [({1},)])
    task(1)
    assert send(task, [(2,), (3,)]) == 2
    assert numbers(redis) == [1, 2, 3]
