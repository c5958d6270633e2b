"""Sync tasks on threads, with a consumer without Redis."""

from __future__ import annotations

import functools
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fluxqueue import Context
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.threads import ThreadPool
from support.fake_consumer import FakeAttempt, FakeConsumer

Record = Callable[..., Any]


class Mine(Context):
    pass


@pytest.fixture
def crashes() -> list[BaseException]:
    return []


@pytest.fixture
def pool(
    consumer: FakeConsumer, outcomes: Outcomes, events: TaskEvents, crashes: list[BaseException]
) -> Iterator[ThreadPool]:
    pool = ThreadPool(consumer, outcomes, events, crashes.append)
    pool.start_thread()
    yield pool
    consumer.drain()
    assert pool.join(10)
    assert crashes == []


def test_a_job_runs_with_its_arguments_and_succeeds(
    consumer: FakeConsumer, pool: ThreadPool, record: Record, lines: Any
) -> None:
    calls: list[Any] = []

    def add(first: int, *, second: int = 0) -> None:
        calls.append((first, second))

    task = record(add)
    attempts = [FakeAttempt(task, [1], {"second": 2}), FakeAttempt(task, [3], retries=2)]
    consumer.put(*attempts)
    consumer.wait_settled(2)
    assert sorted(calls) == [(1, 2), (3, 0)]
    assert {what for _, what, _ in consumer.outcomes} == {"succeed"}
    consumer.drain()
    assert pool.join(10)
    done = {line["task_id"]: line for line in lines.named("task.done")}
    assert done[attempts[1].task_id]["attempt"] == 3
    assert done[attempts[0].task_id]["duration_ms"] >= 0


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_task_raises_is_its_own_failure(
    consumer: FakeConsumer, pool: ThreadPool, record: Record, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    after = FakeAttempt(record(lambda: None, name="fine"))
    attempt = FakeAttempt(record(fail))
    consumer.put(attempt, after)
    consumer.wait_settled(2)
    assert consumer.outcome(attempt)[0] == "retry"
    assert consumer.outcome(after)[0] == "succeed"


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_coroutine_that_nothing_runs_is_a_failure(
    consumer: FakeConsumer, pool: ThreadPool, record: Record
) -> None:
    ran: list[int] = []

    async def work(number: int) -> None:
        ran.append(number)

    @functools.wraps(work)
    def decorated(*args: Any) -> Any:
        return work(*args)

    def finishes(number: int) -> int:
        return number

    attempt = FakeAttempt(record(decorated), [1], max_retries=0)
    after = FakeAttempt(record(finishes), [2])
    consumer.put(attempt, after)
    consumer.wait_settled(2)
    what, (reason, text, traceback) = consumer.outcome(attempt)
    assert (what, reason, ran) == ("make_dead", "failed", [])
    assert text.startswith("TypeError: the task returned the coroutine ")
    assert "work(), which nothing runs; make the task, and what decorates it, an" in text
    assert "fluxqueue_worker" not in traceback
    assert consumer.outcome(after)[0] == "succeed"


def test_the_traceback_shows_the_task_and_not_the_worker(
    consumer: FakeConsumer, pool: ThreadPool, record: Record
) -> None:
    def fail() -> None:
        raise ValueError("x")

    attempt = FakeAttempt(record(fail), max_retries=0)
    consumer.put(attempt)
    consumer.wait_settled(1)
    _, (_, _, traceback) = consumer.outcome(attempt)
    assert "in fail" in traceback
    assert "fluxqueue_worker" not in traceback


def test_arguments_that_do_not_fit_do_not_call_the_function(
    consumer: FakeConsumer, pool: ThreadPool, record: Record
) -> None:
    calls: list[int] = []

    def one(number: int) -> None:
        calls.append(number)

    task = record(one)
    attempts = [
        FakeAttempt(task, []),
        FakeAttempt(task, [1, 2]),
        FakeAttempt(task, [], {"other": 1}),
    ]
    consumer.put(*attempts)
    consumer.wait_settled(3)
    assert calls == []
    assert [details[0] for _, _, details in consumer.outcomes] == ["arguments"] * 3


def test_threads_start_as_there_is_work_up_to_the_concurrency(
    consumer: FakeConsumer, pool: ThreadPool, record: Record
) -> None:
    gate = threading.Barrier(5)  # the four threads and this test
    names: set[str] = set()

    def meet() -> None:
        names.add(threading.current_thread().name)
        gate.wait(10)

    task = record(meet)
    assert len(pool.running()) == 0
    attempts = [FakeAttempt(task) for _ in range(4)]
    consumer.put(*attempts)
    consumer.wait_for(lambda: consumer.running == 4)
    gate.wait(10)
    consumer.wait_settled(4)
    assert len(names) == 4
    assert {what for _, what, _ in consumer.outcomes} == {"succeed"}


def test_idle_threads_keep_neither_arguments_nor_results_alive(
    consumer: FakeConsumer, pool: ThreadPool, record: Record
) -> None:
    class Big:
        pass

    def use(big: Any) -> Any:
        return big

    big = Big()
    kept = weakref.ref(big)
    attempt = FakeAttempt(record(use), [big])
    consumer.put(attempt)
    consumer.wait_settled(1)
    del big, attempt
    consumer.outcomes.clear()
    consumer._settled.clear()
    # The thread is still there, and lets go a moment after it has settled.
    until = time.monotonic() + 10
    while kept() is not None and time.monotonic() < until:
        gc.collect()
        time.sleep(0.01)
    assert not pool.join(0)
    assert kept() is None


def test_a_lost_lease_is_logged_and_the_thread_goes_on(
    consumer: FakeConsumer, pool: ThreadPool, record: Record, lines: Any
) -> None:
    task = record(lambda: None, name="nothing")
    lost, kept = FakeAttempt(task), FakeAttempt(task)
    consumer.lost.add(lost)
    consumer.put(lost)
    consumer.wait_settled(1)
    consumer.put(kept)
    consumer.wait_settled(2)
    consumer.drain()
    assert pool.join(10)
    assert [line["task_id"] for line in lines.named("task.lost_lease")] == [lost.task_id]
    assert [line["task_id"] for line in lines.named("task.done")] == [kept.task_id]


def test_a_context_brings_metadata_and_a_storage_that_lasts(
    consumer: FakeConsumer, pool: ThreadPool, record: Record
) -> None:
    seen: list[Context] = []

    def use(ctx: Mine, number: int) -> None:
        ctx.thread_storage.setdefault("numbers", []).append(number)
        seen.append(ctx)

    task = record(use, context=True)
    for number in range(2):
        consumer.put(FakeAttempt(task, [number], retries=1))
        consumer.wait_settled(number + 1)
    metadata = seen[0].metadata
    assert type(seen[0]) is Mine
    assert (metadata.retries, metadata.max_retries) == (1, 3)
    assert metadata.enqueued_at == datetime.fromtimestamp(1_700_000_000.123, UTC)
    assert seen[1].thread_storage["numbers"] == [0, 1]


def test_above_info_nothing_is_done_for_a_success(
    consumer: FakeConsumer, outcomes: Outcomes, record: Record, lines: Any
) -> None:
    quiet = TaskEvents(lines.logger("warning"))
    quiet.done = lambda *args: pytest.fail("called for a success")  # type: ignore[method-assign]
    crashes: list[BaseException] = []
    pool = ThreadPool(consumer, Outcomes(consumer, quiet), quiet, crashes.append)
    pool.start_thread()
    consumer.put(FakeAttempt(record(lambda: None, name="nothing")))
    consumer.wait_settled(1)
    consumer.drain()
    assert pool.join(10)
    assert crashes == []
    assert lines == []


def test_an_error_of_the_worker_itself_is_reported(
    consumer: FakeConsumer, events: TaskEvents, record: Record
) -> None:
    crashes: list[BaseException] = []
    failure = RuntimeError("the attempt is settled already")

    def fail(attempt: Any, *details: Any) -> bool:
        raise failure

    consumer.succeed = consumer.retry = fail  # type: ignore[method-assign,assignment]
    pool = ThreadPool(consumer, Outcomes(consumer, events), events, crashes.append)
    pool.start_thread()
    consumer.put(FakeAttempt(record(lambda: None, name="nothing")))
    assert pool.join(10)
    assert crashes == [failure]
