"""Async tasks on the event loop, with a consumer without Redis."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue import Context
from fluxqueue_worker import eventloop
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.outcomes import Outcomes
from support.fake_consumer import FakeAttempt, FakeConsumer
from support.scripted_redis import ScriptedRedis, integer
from support.tasks import async_work_on

Record = Callable[..., Any]


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    consumer: FakeConsumer,
    outcomes: Outcomes,
    events: TaskEvents,
) -> Iterator[eventloop.EventLoop]:
    crashes: list[BaseException] = []
    if request.param == "asyncio":
        monkeypatch.setattr(eventloop, "new_event_loop", asyncio.new_event_loop)
    else:
        pytest.importorskip("uvloop")
    loop = eventloop.EventLoop(consumer, outcomes, events, crashes.append)
    loop.start()
    yield loop
    assert loop.stop(10)
    assert crashes == []


async def nothing() -> None: ...


def test_jobs_run_at_the_same_time_in_one_thread(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record, lines: Any
) -> None:
    threads: set[int] = set()
    present: list[int] = []
    everybody = asyncio.Event()

    async def meet(number: int, *, factor: int = 1) -> None:
        threads.add(threading.get_ident())
        present.append(number * factor)
        if len(present) == 3:
            everybody.set()
        await everybody.wait()

    task = record(meet)
    attempts = [
        FakeAttempt(task, [1]),
        FakeAttempt(task, [2]),
        FakeAttempt(task, [3], {"factor": 10}),
    ]
    consumer.put(*attempts)
    consumer.wait_settled(3)
    assert sorted(present) == [1, 2, 30]
    assert len(threads) == 1
    assert {what for _, what, _ in consumer.outcomes} == {"succeed"}
    assert loop.stop(10)
    assert len(lines.named("task.done")) == 3


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_task_raises_is_its_own_failure(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record, error: BaseException
) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise error

    attempt = FakeAttempt(record(fail), max_retries=0)
    consumer.put(attempt)
    consumer.wait_settled(1)
    what, (reason, text, traceback) = consumer.outcome(attempt)
    assert (what, reason) == ("make_dead", "failed")
    assert text.startswith(type(error).__name__)
    assert "in fail" in traceback
    after = FakeAttempt(record(nothing))
    consumer.put(after)
    consumer.wait_settled(2)
    assert consumer.outcome(after)[0] == "succeed"


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_coroutine_that_nothing_awaits_is_a_failure(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record
) -> None:
    async def forgets() -> Any:
        return nothing()

    async def finishes() -> int:
        await nothing()
        return 1

    attempt = FakeAttempt(record(forgets), max_retries=0)
    after = FakeAttempt(record(finishes))
    consumer.put(attempt, after)
    consumer.wait_settled(2)
    what, (reason, text, _) = consumer.outcome(attempt)
    assert (what, reason) == ("make_dead", "failed")
    assert text.startswith("TypeError: the task returned the coroutine nothing(), which nothing")
    assert consumer.outcome(after)[0] == "succeed"


def test_stopping_the_loop_does_not_stop_the_worker(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record
) -> None:
    async def stop() -> None:
        asyncio.get_running_loop().stop()

    consumer.put(FakeAttempt(record(stop)))
    consumer.wait_settled(1)
    consumer.put(FakeAttempt(record(nothing)))
    consumer.wait_settled(2)
    assert [what for _, what, _ in consumer.outcomes] == ["succeed", "succeed"]


def test_a_cancelled_task_has_failed_even_before_it_began(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record
) -> None:
    async def cancel_others() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    attempts = [FakeAttempt(record(cancel_others)), FakeAttempt(record(nothing))]
    consumer.put(*attempts)
    consumer.wait_settled(2)
    # Where both were taken in one turn the second was cancelled before it began.
    assert consumer.outcome(attempts[0])[0] == "succeed"
    assert consumer.outcome(attempts[1])[0] in ("retry", "succeed")

    async def cancel_self() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    attempt = FakeAttempt(record(cancel_self), max_retries=0)
    consumer.put(attempt)
    consumer.wait_settled(3)
    what, (reason, text, _) = consumer.outcome(attempt)
    assert (what, reason, text) == (
        "make_dead",
        "failed",
        "asyncio.exceptions.CancelledError: the task was cancelled",
    )


def test_tasks_that_block_the_loop_leave_others_their_turn(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record
) -> None:
    order: list[str] = []

    async def wait() -> None:
        await asyncio.sleep(0)
        order.append("waited")

    async def block() -> None:
        end = time.perf_counter() + eventloop.TURN
        while time.perf_counter() < end:
            pass
        order.append("blocked")

    gate = threading.Event()

    async def hold() -> None:
        gate.wait(10)

    consumer.put(FakeAttempt(record(hold)))
    consumer.put(FakeAttempt(record(wait)), *(FakeAttempt(record(block)) for _ in range(5)))
    gate.set()
    consumer.wait_settled(7)
    assert order.index("waited") <= 2


def test_arguments_that_do_not_fit_are_dead_at_once(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record
) -> None:
    attempt = FakeAttempt(record(nothing), [1])
    consumer.put(attempt)
    consumer.wait_settled(1)
    what, (reason, _, _) = consumer.outcome(attempt)
    assert (what, reason) == ("make_dead", "arguments")


def test_a_context_brings_the_storage_of_the_loop(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record
) -> None:
    storages: list[dict[str, Any]] = []

    async def use(ctx: Context, number: int) -> None:
        storages.append(ctx.thread_storage)

    task = record(use, context=True)
    consumer.put(FakeAttempt(task, [1]), FakeAttempt(task, [2]))
    consumer.wait_settled(2)
    assert storages[0] is storages[1]


def test_a_task_cancelled_at_the_end_is_released_without_a_failure(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record, lines: Any
) -> None:
    begun = threading.Barrier(3)
    cleaned: list[str] = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
            await asyncio.Event().wait()
        finally:
            cleaned.append("wait")

    async def turn_cancel_into_error() -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("cleaning up failed") from None

    attempts = [FakeAttempt(record(wait_for_ever)), FakeAttempt(record(turn_cancel_into_error))]
    consumer.put(*attempts)
    begun.wait(10)
    running: set[Any] = {attempt for attempt, _ in loop.running()}
    assert running == set(attempts)
    loop.cancel_all()
    consumer.wait_settled(2)
    assert {what for _, what, _ in consumer.outcomes} == {"release"}
    assert cleaned == ["wait"]
    assert loop.stop(10)
    assert len(lines.named("task.released")) == 2


@pytest.mark.parametrize("methods", [["take_async"], ["succeed", "retry"]])
def test_an_error_of_the_worker_itself_is_reported_once(
    consumer: FakeConsumer, events: TaskEvents, record: Record, methods: list[str]
) -> None:
    failure = RuntimeError("the attempt is settled already")
    reported = threading.Event()
    crashes: list[BaseException] = []

    def fail(*arguments: Any) -> Any:
        raise failure

    def crashed(error: BaseException) -> None:
        crashes.append(error)
        reported.set()

    for method in methods:
        setattr(consumer, method, fail)
    loop = eventloop.EventLoop(consumer, Outcomes(consumer, events), events, crashed)
    loop.start()
    consumer.put(FakeAttempt(record(nothing)))
    assert reported.wait(10)
    assert loop.stop(10)
    assert crashes == [failure]


def test_stacks_show_where_a_coroutine_waits(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record
) -> None:
    begun = threading.Barrier(2)

    async def wait_in_here() -> None:
        await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
        await asyncio.Event().wait()

    attempt = FakeAttempt(record(wait_in_here))
    consumer.put(attempt)
    begun.wait(10)
    ((found, text),) = loop.stacks()
    assert found.task_id == attempt.task_id
    assert "wait_in_here" in text
    loop.cancel_all()
    consumer.wait_settled(1)


@pytest.mark.filterwarnings("ignore::fluxqueue.FluxQueueWarning")
def test_the_end_of_the_loop_sends_the_calls_of_tasks_that_it_cancels(
    consumer: FakeConsumer, loop: eventloop.EventLoop, record: Record
) -> None:
    async def call_and_stop() -> None:
        asyncio.create_task(work(1))  # noqa: RUF006  # the last act of the loop
        loop._stopping = True
        asyncio.get_running_loop().stop()

    with ScriptedRedis(integer) as server:
        work = async_work_on(server.url)
        consumer.put(FakeAttempt(record(call_and_stop)))
        assert loop.stop(10)
        assert len(server.pushed) == 1
