"""The ways to call a task, for a `def` and an `async def`, in and out of an event loop; and
the traps between them, each of which is an error or a warning and loses nothing."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue, FluxQueueWarning, TaskHandle
from support.loops import LOOPS, NewLoop, run
from support.scripted_redis import ScriptedRedis, integer
from support.tasks import async_work_on, messages, work_on
from support.telemetry import Recorded

KINDS = pytest.mark.parametrize("make", [work_on, async_work_on], ids=["def", "async_def"])
Make = Callable[..., Any]


def arguments(redis: Any) -> list[Any]:
    return [message["args"][0] for message in messages(redis)]


@KINDS
@LOOPS
def test_both_ways_return_the_handle_of_the_task(
    make: Make, redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = make(redis_url)

    async def main() -> list[TaskHandle[None]]:
        one = await work.enqueue_async(1, b=2)
        return [one, *await asyncio.gather(*map(work.enqueue_async, range(2, 50)))]

    handles = [work.enqueue(0), *run(new_loop, main()), asyncio.run(work.enqueue_async(50))]
    assert [message["task_id"] for message in messages(redis)] == [one.id for one in handles]
    assert {one.queue for one in handles} == {work.queue}
    assert arguments(redis) == list(range(51))
    assert messages(redis)[1]["kwargs"] == {"b": 2}


@KINDS
def test_a_call_that_fails_has_no_id(make: Make, redis: Any, redis_url: str) -> None:
    work = make("redis://127.0.0.1:1?timeout=0.2")

    async def main() -> None:
        with pytest.raises(TypeError, match=r"argument args\[0\] is a set"):
            work.enqueue_async({1})
        with pytest.raises(BrokerUnavailable, match=r"'work'.*not enqueued"):
            await work.enqueue_async(1)

    asyncio.run(main())
    with pytest.raises(BrokerUnavailable, match=r"'work'.*not enqueued"):
        work.enqueue(1)
    with pytest.raises(TypeError, match=r"argument args\[0\] is a set"):
        work.enqueue({1})


BLOCKING: dict[str, tuple[Callable[[Any], object], str]] = {
    "call": (lambda work: work(1), "work.enqueue_async"),
    "enqueue": (lambda work: work.enqueue(1), "work.enqueue_async"),
    "enqueue_many": (lambda work: work.enqueue_many([(1,)]), "work.enqueue_many_async"),
}


@pytest.mark.parametrize("way", BLOCKING)
@LOOPS
def test_a_blocking_call_in_a_loop_warns_and_enqueues(
    way: str, redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    call, instead = BLOCKING[way]
    work = work_on(redis_url)

    async def main() -> None:
        with pytest.warns(FluxQueueWarning, match=rf"'work'.*write `await {instead}\(") as found:
            call(work)
        assert [warning.filename for warning in found] == [__file__]

    run(new_loop, main())
    assert arguments(redis) == [1]


@pytest.mark.parametrize("way", BLOCKING)
def test_a_blocking_call_warns_in_no_other_place(way: str, redis_url: str, redis: Any) -> None:
    call, _ = BLOCKING[way]
    work = work_on(redis_url)

    async def main() -> None:
        await asyncio.to_thread(call, work)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(work)
        asyncio.run(main())
    assert arguments(redis) == [1, 1]


async def await_call(work: Any) -> None:
    await work(1)


async def await_call_with_keywords(work: Any) -> None:
    numbers = {"b": 2}
    _ = await work(1, a=1, **numbers)


async def await_enqueue(work: Any) -> None:
    print(await work.enqueue(1))


async def await_partial(work: Any) -> None:
    call = functools.partial(work, 1)
    await call()


@pytest.mark.parametrize(
    "awaits", [await_call, await_call_with_keywords, await_enqueue, await_partial]
)
def test_a_blocking_call_that_is_awaited_is_refused_before_it_enqueues(
    awaits: Callable[[Any], Any], redis_url: str, redis: Any
) -> None:
    with pytest.raises(TypeError, match=r"write `await work\.enqueue_async\(\.\.\.\)`; nothing"):
        asyncio.run(awaits(work_on(redis_url)))
    assert arguments(redis) == []


def test_a_blocking_call_that_is_gathered_warns_of_that(redis_url: str, redis: Any) -> None:
    work = work_on(redis_url)

    async def main() -> None:
        await asyncio.gather(work(1))

    # The TypeError is asyncio's.
    with (
        pytest.warns(FluxQueueWarning, match=r"nothing to await or to gather; write `await work"),
        pytest.raises(TypeError, match="is required"),
    ):
        asyncio.run(main())
    assert arguments(redis) == [1]


@LOOPS
def test_a_call_that_is_the_last_act_of_a_loop_is_sent(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        for number in range(3):
            work(number)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without one if Redis has answered before
        run(new_loop, main())
    assert arguments(redis) == [0, 1, 2]


@LOOPS
@pytest.mark.parametrize("calls", [1, 3])
def test_a_call_without_an_answer_at_the_end_of_a_loop_warns(calls: int, new_loop: NewLoop) -> None:
    ended = threading.Event()

    def answer_after_the_end(number: int, command: list[bytes]) -> bytes:
        assert ended.wait(20)
        return integer(number, command)

    async def tell_the_end() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            ended.set()

    async def main() -> None:
        await anext(end)
        for number in range(calls):
            work(number)

    end = tell_the_end()
    with ScriptedRedis(answer_after_the_end) as server:
        work = async_work_on(server.url)
        with pytest.warns(FluxQueueWarning, match=rf"'work'.*: {calls} calls? w.*await each call"):
            run(new_loop, main())
        assert sum(len(command) - 2 for command in server.pushed) == calls


def test_the_end_of_a_loop_reports_a_call_that_fails() -> None:
    work = async_work_on("redis://127.0.0.1:1?timeout=0.2")
    reported: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
        work(1)

    with pytest.warns(FluxQueueWarning, match="1 call was not awaited"):
        asyncio.run(main())
    assert [type(what["exception"]) for what in reported] == [BrokerUnavailable]
    assert "'work'" in str(reported[0]["exception"])


def test_a_loop_that_awaits_its_calls_ends_without_a_warning(redis_url: str, redis: Any) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        await work(1)
        cancelled = work(2)
        cancelled.cancel()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
    assert arguments(redis) == [1]


def test_a_loop_that_is_closed_at_once_warns_of_its_calls() -> None:
    async def main() -> None:
        work(1)

    with ScriptedRedis(lambda number, command: b"") as server:
        work = async_work_on(server.url)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        with pytest.warns(FluxQueueWarning, match=r"'work'.*1 call was not answered.*lost"):
            work._producer.close()


@LOOPS
@pytest.mark.parametrize("method", ["__call__", "enqueue_async"])
def test_in_debug_mode_the_warning_at_the_end_of_a_loop_names_the_line(
    method: str, new_loop: NewLoop
) -> None:
    work = async_work_on("redis://127.0.0.1:1?timeout=0.2")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: None)
        getattr(work, method)(1)

    for debug in (True, False):
        with pytest.warns(FluxQueueWarning, match="1 call was not awaited") as caught:
            run(new_loop, main(), debug)
        (warning,) = caught
        if debug:
            assert warning.filename == __file__
            assert warning.lineno == main.__code__.co_firstlineno + 2
        else:
            assert "PYTHONASYNCIODEBUG=1 makes this warning name the line" in str(warning.message)


LEFT = """
import asyncio, sys
from fluxqueue import FluxQueue
@FluxQueue(sys.argv[1]).task()
async def work(number): ...
async def main():
    work(1)
asyncio.new_event_loop().run_until_complete(main())
"""


def test_a_process_that_leaves_a_loop_warns_of_its_calls(redis_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT, redis_url], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "FluxQueueWarning: task 'work' (queue 'default'): 1 call was not answered" in done.stderr


def test_an_async_call_without_a_loop_enqueues_at_once(redis_url: str, redis: Any) -> None:
    work = async_work_on(redis_url)
    call = work(1)
    assert arguments(redis) == [1]
    assert asyncio.iscoroutine(call)
    assert asyncio.run(call) is None
    thread = threading.Thread(target=lambda: asyncio.run(work(2)))
    thread.start()
    thread.join()
    assert arguments(redis) == [1, 2]


@pytest.mark.parametrize("method", ["__call__", "enqueue_async"])
def test_an_async_call_without_a_loop_that_is_not_awaited_warns(
    method: str, redis_url: str, redis: Any
) -> None:
    work = async_work_on(redis_url)
    # As Django's `transaction.on_commit` does with a function.
    on_commit = functools.partial(getattr(work, method), 1)
    with pytest.warns(FluxQueueWarning, match=r"not awaited.*write `work\.enqueue\(\.\.\.\)`"):
        on_commit()
    assert arguments(redis) == [1]


def test_an_async_call_without_a_loop_raises_the_errors_of_redis() -> None:
    work = async_work_on("redis://127.0.0.1:1?timeout=0.2")
    with pytest.raises(BrokerUnavailable, match="not enqueued"):
        work(1)


def test_the_coroutine_of_an_enqueued_call_can_be_used_as_any_other(redis_url: str) -> None:
    work = async_work_on(redis_url)
    calls = [work(number) for number in range(6)]

    async def main() -> None:
        assert await calls[0] is None
        assert await asyncio.gather(calls[1], asyncio.create_task(calls[2])) == [None] * 2  # type: ignore[comparison-overlap]
        with pytest.raises(KeyError):
            calls[3].throw(KeyError)
        calls[4].close()
        cancelled = asyncio.create_task(calls[5])
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        calls.clear()


@pytest.mark.parametrize("way", ["enqueue", "enqueue_async"])
def test_the_spans_of_a_call_have_the_id_that_it_returns(
    way: str, recorded: Recorded, client: FluxQueue
) -> None:
    @client.task()
    def send() -> None: ...

    async def main() -> TaskHandle[None]:
        return await send.enqueue_async()

    handle = send.enqueue() if way == "enqueue" else asyncio.run(main())
    span = recorded.span("enqueue default")
    assert (span.attributes or {})["messaging.message.id"] == handle.id
