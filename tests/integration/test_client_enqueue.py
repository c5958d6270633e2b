"""Calls of tasks end as messages in Redis: from threads and loops."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import threading
import uuid
from typing import Any

import pytest
from fluxqueue import FluxQueue, MessageTooLarge
from fluxqueue.fluxqueue_core import FluxQueueCore
from support.connections import connections, other_clients
from support.tasks import async_work_on, messages, work_on
from support.waiting import wait_until


def test_a_call_becomes_a_message(redis_url: str, redis: Any) -> None:
    before = datetime.datetime.now(datetime.UTC)
    assert work_on(redis_url, name="send", queue="mails", max_retries=7)("a", b=[1, None]) is None
    [message] = messages(redis, "mails")
    assert message["name"] == "send"
    assert message["args"] == ["a"]
    assert message["kwargs"] == {"b": [1, None]}
    assert (message["retries"], message["deliveries"], message["max_retries"]) == (0, 0, 7)
    assert uuid.UUID(message["task_id"]).version == 7
    enqueued = datetime.datetime.fromtimestamp(message["enqueued_at"] / 1000, datetime.UTC)
    assert abs((enqueued - before).total_seconds()) < 60
    assert messages(redis) == []


def test_an_awaited_call_becomes_a_message(redis_url: str, redis: Any) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        assert await work(1, b=2) is None
        assert len(messages(redis)) == 1

    asyncio.run(main())
    [message] = messages(redis)
    assert (message["name"], message["args"], message["kwargs"]) == ("work", [1], {"b": 2})


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Line:
    price: float
    colour: Colour


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("größe \x00 \U0001f600", "größe \x00 \U0001f600"),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (0.1, 0.1),
        ([True, None, {}], [True, None, {}]),
        ((1, 2), [1, 2]),
        (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00+00:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (Line(1.5, Colour.RED), {"price": 1.5, "colour": "red"}),
    ],
)
def test_arguments_arrive_as_documented(
    redis_url: str, redis: Any, sent: Any, arrives: Any
) -> None:
    work_on(redis_url)(sent, x=sent)
    [message] = messages(redis)
    assert message["args"] == [arrives]
    assert message["kwargs"] == {"x": arrives}


def test_nothing_is_opened_before_the_first_call(redis_url: str, redis: Any) -> None:
    work = work_on(redis_url)
    assert connections(redis) == 0
    work(1)
    assert connections(redis) == 1


def test_a_thread_keeps_its_connection(redis_url: str, redis: Any) -> None:
    work = work_on(redis_url)
    work(0)
    [opened] = other_clients(redis)
    for number in range(1, 50):
        work(number)
    assert other_clients(redis) == [opened]
    assert [message["args"] for message in messages(redis)] == [[n] for n in range(50)]


def test_close_gives_the_connection_back_and_a_later_call_connects(
    redis_url: str, redis: Any
) -> None:
    app = FluxQueue(redis_url)
    work = app.task(name="work")(lambda a: None)
    work(1)
    assert connections(redis) == 1
    app.close()
    # Redis notices the close in its own time.
    wait_until(lambda: connections(redis) == 0)
    work(2)
    assert len(messages(redis)) == 2


def test_threads_send_at_the_same_time(redis_url: str, redis: Any) -> None:
    work = work_on(redis_url)
    barrier = threading.Barrier(8)

    def send(thread: int) -> None:
        barrier.wait()
        for number in range(200):
            work(thread, number)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [tuple(message["args"]) for message in messages(redis)]
    assert sorted(sent) == [(t, n) for t in range(8) for n in range(200)]
    for sender in range(8):  # each thread's calls are in order
        assert [n for t, n in sent if t == sender] == list(range(200))


def test_the_connection_of_a_thread_ends_with_it(redis_url: str, redis: Any) -> None:
    work = work_on(redis_url)
    for number in range(20):
        thread = threading.Thread(target=work, args=(number,))
        thread.start()
        thread.join()
    wait_until(lambda: connections(redis) == 0)
    assert len(messages(redis)) == 20


def test_a_message_that_is_too_large_is_not_sent(redis_url: str, redis: Any) -> None:
    app = FluxQueue(redis_url, max_message_bytes=1000)
    work = app.task(name="work")(lambda a: None)

    @app.task()
    async def awork(a: str) -> None: ...

    work("x" * 500)
    with pytest.raises(MessageTooLarge, match="1000"):
        work("x" * 1000)

    async def main() -> None:
        with pytest.raises(MessageTooLarge):
            await awork("x" * 1000)

    asyncio.run(main())
    assert len(messages(redis)) == 1


def test_the_low_level(redis_url: str, redis: Any) -> None:
    core = FluxQueueCore(redis_url)
    core._enqueue("one", "q", 0, 1, x=2)

    async def main() -> None:
        await core._enqueue_async("two", "q", 5)
        with pytest.raises(
            TypeError, match=r"task 'two' \(queue 'q'\): argument args\[0\] is a set"
        ):
            core._enqueue_async("two", "q", 5, {1})

    asyncio.run(main())
    with pytest.raises(ValueError, match="argument x is NaN"):
        core._enqueue("one", "q", 0, x=float("nan"))
    one, two = messages(redis, "q")
    assert (one["name"], one["args"], one["kwargs"], one["max_retries"]) == (
        "one",
        [1],
        {"x": 2},
        0,
    )
    assert (two["name"], two["args"], two["kwargs"], two["max_retries"]) == ("two", [], {}, 5)
    assert "geheim" not in repr(FluxQueueCore("redis://:geheim@localhost:6379"))


@pytest.mark.parametrize("timeout", [None, 30, 2.5])
def test_the_timeout_travels_with_the_task(redis_url: str, redis: Any, timeout: Any) -> None:
    work = work_on(redis_url, timeout=timeout)
    assert work.timeout == timeout
    work(1)
    (message,) = messages(redis)
    assert message["timeout"] == timeout
