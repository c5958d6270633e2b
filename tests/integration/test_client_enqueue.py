"""Calls of tasks end as messages in Redis: from threads, loops and forks."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import json
import os
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from fluxqueue import FluxQueue, MessageTooLarge
from fluxqueue.fluxqueue_core import FluxQueueCore
from fluxqueue_core import key, parse_message

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


def messages(redis: Any, queue: str = "default") -> list[dict[str, Any]]:
    """What waits in the queue, first in first, its arguments decoded."""
    found = []
    for raw in reversed(redis.lrange(key("pending", queue), 0, -1)):
        message = parse_message(raw)
        message["args"] = json.loads(message["args"])
        message["kwargs"] = json.loads(message["kwargs"] or "{}")
        found.append(message)
    return found


def run(new_loop: NewLoop, main: Any) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def work_on(url: str, **options: Any) -> Any:
    @FluxQueue(url).task(**options)
    def work(*args: Any, **kwargs: Any) -> None: ...

    return work


def async_work_on(url: str, **options: Any) -> Any:
    @FluxQueue(url).task(**options)
    async def work(*args: Any, **kwargs: Any) -> None: ...

    return work


def other_clients(redis: Any) -> list[str]:
    """The ids of the connections to the test's database, without its own."""
    own = {name: str(value) for name, value in redis.client_info().items()}
    same = (client for client in redis.client_list() if client["db"] == own["db"])
    return [client["id"] for client in same if client["id"] != own["id"]]


def connections(redis: Any) -> int:
    return len(other_clients(redis))


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
    assert eventually(lambda: connections(redis) == 0)
    work(2)
    assert len(messages(redis)) == 2


def eventually(condition: Callable[[], bool]) -> bool:
    waiting = threading.Event()
    return any(condition() or waiting.wait(0.01) for _ in range(2000))


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
    assert eventually(lambda: connections(redis) == 0)
    assert len(messages(redis)) == 20


@LOOPS
def test_thousands_are_gathered(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        assert await asyncio.gather(*map(work, range(5000))) == [None] * 5000
        async with asyncio.TaskGroup() as group:
            for number in range(5000, 6000):
                group.create_task(work(number))

    run(new_loop, main())
    assert [message["args"][0] for message in messages(redis)] == list(range(6000))


@LOOPS
def test_one_turn_of_the_loop_is_one_command_a_queue(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    app = FluxQueue(redis_url)

    @app.task()
    async def one(a: int) -> None: ...

    @app.task(queue="other")
    async def two(a: int) -> None: ...

    async def main() -> int:
        await one(0)
        before = redis.info("commandstats")["cmdstat_lpush"]["calls"]
        await asyncio.gather(*map(one, range(50)), *map(two, range(50)))
        after = redis.info("commandstats")["cmdstat_lpush"]["calls"]
        return int(after) - int(before)

    assert run(new_loop, main()) == 2
    assert (len(messages(redis)), len(messages(redis, "other"))) == (51, 50)


@LOOPS
def test_one_loop_after_another(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    work = async_work_on(redis_url)
    for number in range(30):
        run(new_loop, work_once(work, number))
    assert [message["args"][0] for message in messages(redis)] == list(range(30))
    # What belonged to a closed loop does not pile up.
    assert eventually(lambda: connections(redis) <= 1)


async def work_once(work: Any, number: int) -> None:
    await work(number)


@LOOPS
def test_loops_in_threads_at_once(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    work = async_work_on(redis_url)
    barrier = threading.Barrier(4)

    async def main(thread: int) -> None:
        barrier.wait()
        for number in range(50):
            await asyncio.gather(*(work(thread, number, i) for i in range(5)))

    threads = [threading.Thread(target=lambda n=n: run(new_loop, main(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tuple(message["args"]) for message in messages(redis)) == [
        (t, n, i) for t in range(4) for n in range(50) for i in range(5)
    ]


@LOOPS
def test_a_call_cancelled_in_its_turn_is_not_sent(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        calls = [work(number) for number in range(10)]
        calls[3].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [n for n, result in enumerate(results) if result is not None] == [3]
        assert isinstance(results[3], asyncio.CancelledError)

    run(new_loop, main())
    assert [message["args"][0] for message in messages(redis)] == [0, 1, 2, 4, 5, 6, 7, 8, 9]


@LOOPS
def test_a_call_cancelled_after_the_write_leaves_the_others_alone(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        await work("connected")
        redis.client_pause(200)  # the write leaves, the answer is late
        calls = [work(number) for number in range(10)]
        waiting = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0.05)
        calls[3].cancel()
        results = await waiting
        assert [n for n, result in enumerate(results) if result is not None] == [3]

    run(new_loop, main())
    assert len(messages(redis)) == 11  # what was written can't be called back


def test_a_call_without_a_loop_is_a_coroutine(redis_url: str, redis: Any) -> None:
    work = async_work_on(redis_url)
    asyncio.run(work(1))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work(2))
    loop.close()
    assert [message["args"][0] for message in messages(redis)] == [1, 2]


def test_a_forked_child_has_a_connection_of_its_own(redis_url: str, redis: Any) -> None:
    work, awork = work_on(redis_url), async_work_on(redis_url)
    work("parent", 0)
    asyncio.run(awork("parent", 1))

    def child(number: int) -> None:
        for i in range(100):
            work(number, i)

        async def main() -> None:
            await asyncio.gather(*(awork(number, 100 + i) for i in range(100)))

        asyncio.run(main())

    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child(number)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    for i in range(100):  # the parent goes on meanwhile
        work("parent", 2 + i)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    sent = [tuple(message["args"]) for message in messages(redis)]
    wanted = [("parent", i) for i in range(102)] + [(c, i) for c in range(3) for i in range(200)]
    assert sorted(sent, key=str) == sorted(wanted, key=str)
    assert len({message["task_id"] for message in messages(redis)}) == len(wanted)


def test_a_fork_in_a_running_loop(redis_url: str, redis: Any) -> None:
    awork, work = async_work_on(redis_url), work_on(redis_url)

    async def main() -> None:
        await awork("before")
        unsent = awork("unsent")  # in the buffer while the process forks
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work("child")
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        await unsent
        await awork("after")

    asyncio.run(main())
    assert [m["args"][0] for m in messages(redis)] == ["before", "child", "unsent", "after"]


def test_what_is_too_large_is_not_sent(redis_url: str, redis: Any) -> None:
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
