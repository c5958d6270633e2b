"""`fluxqueue.testing.inline`: calls run in the test."""

from __future__ import annotations

import asyncio
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fluxqueue import (
    ArgumentTypeError,
    BrokerUnavailable,
    Context,
    FluxQueue,
    MessageTooLarge,
    Middleware,
    ResultTimeout,
    Snooze,
    TaskExpired,
    gather_results,
    gather_results_sync,
)
from fluxqueue.errors import ConfigurationError, FluxQueueWarning
from fluxqueue.testing import captured, inline

NOWHERE = "redis://127.0.0.1:1?connect_timeout=0.1&timeout=0.1"


@pytest.fixture
def queue() -> FluxQueue:
    return FluxQueue(NOWHERE)


def test_a_call_runs_its_task_before_it_returns(queue: FluxQueue) -> None:
    ran: list[str] = []

    @queue.task()
    def send(to: str) -> None:
        ran.append(to)

    with inline(queue):
        send("a")
        assert ran == ["a"]
        send.enqueue("b")
        assert send.enqueue_many([("c",), {"to": "d"}]) == 2
        assert ran == ["a", "b", "c", "d"]


@pytest.mark.parametrize("error", [ValueError("no"), TypeError("no"), KeyError("no"), OSError(5)])
def test_a_call_raises_the_error_of_its_task_itself(queue: FluxQueue, error: Exception) -> None:
    @queue.task(max_retries=1)
    def fail() -> None:
        raise error

    cause = error.__cause__ = LookupError("the cause")
    with inline(queue) as tasks:
        for call in (
            fail,
            fail.enqueue,
            fail.options(priority=3).enqueue,
            lambda: fail.enqueue_many([()]),
            lambda: asyncio.run(_awaited(fail.enqueue_async())),
            lambda: asyncio.run(fail.enqueue_many_async([()])),
        ):
            with pytest.raises(type(error)) as raised:
                call()
            assert raised.value is error and error.__cause__ is cause
        assert tasks.errors == [error] * 6
        assert {call.attempts for call in tasks.calls} == {2}


async def _awaited(call: Any) -> Any:
    return await call


def test_middleware_around_a_call_leaves_the_error_of_its_task_as_it_is() -> None:
    seen: list[str] = []

    class Noting(Middleware):
        def enqueue(self, call: Any) -> Any:
            seen.append(call.task_name)
            yield

    queue = FluxQueue(NOWHERE, middleware=[Noting()])
    error = ValueError("no")

    @queue.task(max_retries=0)
    def fail() -> None:
        raise error

    with inline(queue):
        for call in (fail, fail.options(priority=3), lambda: fail.enqueue_many([()])):
            with pytest.raises(ValueError, match="no") as raised:
                call()
            assert raised.value is error
        with pytest.raises(ValueError, match="no"):
            asyncio.run(_awaited(fail.enqueue_async()))
    assert seen == ["fail"] * 4


def test_errors_are_collected_if_the_test_wants_that(queue: FluxQueue) -> None:
    @queue.task(max_retries=0, result_ttl=60)
    def fail() -> None:
        raise ValueError("no")

    with inline(queue, raise_errors=False) as tasks:
        handle = fail.enqueue()
        assert handle.status() == "failed"
        assert [str(error) for error in tasks.errors] == ["no"]
        tasks.raise_errors = True
        with pytest.raises(ValueError, match=r"^no$"):
            fail()


def test_the_error_of_a_task_that_a_task_calls_is_raised_in_the_test(queue: FluxQueue) -> None:
    ended: list[str] = []

    @queue.task(max_retries=0)
    def inner() -> None:
        raise ValueError("inner")

    @queue.task()
    def outer() -> None:
        inner()
        ended.append("outer")

    with inline(queue), pytest.raises(ValueError, match="inner"):
        outer()
    assert ended == ["outer"]


def test_a_bad_argument_is_refused_as_by_a_real_producer(queue: FluxQueue) -> None:
    @queue.task()
    def send(values: Any) -> None: ...

    with inline(queue) as tasks:
        with pytest.raises(ArgumentTypeError, match="argument values is a"):
            send(object())
        with pytest.raises(TypeError, match="missing"):
            send()  # type: ignore[call-arg]
        with pytest.raises(ArgumentTypeError, match="call 1"):
            send.enqueue_many([(1,), (object(),)])
        assert tasks.calls == []


def test_delays_pass_on_the_clock_of_the_test(queue: FluxQueue) -> None:
    @queue.task(retry_delays=(10, 100), jitter=False, max_retries=2)
    def fail() -> None:
        raise OSError

    with inline(queue, raise_errors=False) as tasks:
        fail.options(delay=3600)()
        assert tasks.now == 3710
        assert tasks.calls[0].delay == 3600 and tasks.calls[0].delays == [10, 100]
        fail.options(eta=datetime.now(UTC) + timedelta(days=1))()
        assert tasks.calls[1].delay == pytest.approx(86_400, abs=5)


def test_a_throttle_ends_on_the_clock_of_the_test(queue: FluxQueue) -> None:
    ran: list[int] = []

    @queue.task(throttle=60)
    def sync(number: int) -> None:
        ran.append(number)

    with inline(queue) as tasks:
        sync(1)
        sync(1)
        tasks.travel(59)
        sync(1)
        assert ran == [1]
        tasks.travel(1)
        sync(1)
        assert ran == [1, 1]
        with pytest.raises(ValueError, match="can't go back by 1 s"):
            tasks.travel(-1)


def test_a_result_ends_on_the_clock_of_the_test(queue: FluxQueue) -> None:
    @queue.task(result_ttl=60)
    def add(one: int) -> int:
        return one

    with inline(queue) as tasks:
        handle = add.enqueue(1)
        tasks.travel(59)
        assert handle.result() == 1
        tasks.travel(1)
        assert handle.status() == "unfinished"
        with pytest.raises(ResultTimeout):
            handle.result()


def test_a_task_that_expires_is_an_error_with_its_last_failure(queue: FluxQueue) -> None:
    @queue.task(expires=5, retry_delay=50, jitter=False)
    def fail() -> None:
        raise ValueError("first")

    with inline(queue), pytest.raises(TaskExpired, match="before its next attempt") as raised:
        fail()
    assert str(raised.value.__cause__) == "first"


def test_results_are_gathered(queue: FluxQueue) -> None:
    @queue.task(result_ttl=60)
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    with inline(queue):
        assert gather_results_sync(double.enqueue_each([(1,), (2,)])) == [2, 4]

        async def gather() -> list[int]:
            handles = await double.enqueue_each_async([(3,), (4,)])
            return await gather_results(handles)

        assert asyncio.run(gather()) == [6, 8]


def test_async_tasks_of_an_async_test_run_on_its_loop(queue: FluxQueue) -> None:
    loops: list[Any] = []

    @queue.task()
    async def note() -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    async def test() -> None:
        await note()
        await asyncio.gather(note(), asyncio.create_task(note()))
        await asyncio.wait_for(note(), 60)
        assert loops == [asyncio.get_running_loop()] * 4

    with inline(queue):
        asyncio.run(test())
        note.enqueue()
        asyncio.run(note())
    # Without a loop in the test, the tasks of a mode share one.
    assert loops[4] is loops[5] and len(set(loops)) == 2


def test_a_def_of_an_async_test_runs_in_its_thread_without_a_loop(queue: FluxQueue) -> None:
    found: list[Any] = []

    async def inner() -> str:
        return "another loop"

    @queue.task()
    def note() -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        found.append((threading.get_ident(), asyncio.run(inner())))

    async def test() -> None:
        await note.enqueue_async()
        asyncio.get_running_loop()

    with inline(queue):
        asyncio.run(test())
    assert found == [(threading.get_ident(), "another loop")]


def test_a_blocking_call_in_an_async_test_warns_as_in_production(queue: FluxQueue) -> None:
    ran: list[int] = []

    @queue.task()
    async def note() -> None:
        await asyncio.sleep(0)
        ran.append(1)

    async def test() -> None:
        with pytest.warns(FluxQueueWarning, match="blocks the event loop"):
            note.enqueue()

    with inline(queue):
        asyncio.run(test())
    assert ran == [1]


def test_two_async_calls_run_at_the_same_time(queue: FluxQueue) -> None:
    @queue.task(result_ttl=60)
    async def meet(name: str) -> int:
        events[name].set()
        for event in events.values():
            await asyncio.wait_for(event.wait(), 60)
        return len(events)

    events: dict[str, asyncio.Event] = {}

    async def test() -> None:
        events.update(a=asyncio.Event(), b=asyncio.Event())
        handles = await asyncio.gather(meet.enqueue_async("a"), meet.enqueue_async("b"))
        assert await gather_results(handles) == [2, 2]

    with inline(queue):
        asyncio.run(test())


def test_a_thread_of_a_task_can_call_tasks(queue: FluxQueue) -> None:
    ran: list[str] = []

    @queue.task()
    def inner() -> None:
        ran.append("inner")

    @queue.task()
    def outer() -> None:
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()
        ran.append("outer")

    with inline(queue):
        outer()
    assert ran == ["outer", "inner"]


def test_threads_of_a_test_can_call_tasks_at_the_same_time(queue: FluxQueue) -> None:
    ran: list[int] = []

    @queue.task(max_retries=1)
    def inner(number: int) -> None:
        ran.append(number)

    @queue.task(max_retries=1)
    async def outer(number: int) -> None:
        await asyncio.sleep(0)
        await inner.enqueue_async(number)
        if number % 2:
            raise ValueError(number)

    def call(number: int) -> None:
        if number % 2:
            with pytest.raises(ValueError, match=str(number)):
                outer.enqueue(number)
        else:
            asyncio.run(outer(number))

    with inline(queue) as tasks, ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(40)))
        assert len(tasks.errors) == 20
    assert sorted(ran) == sorted([*range(40), *range(1, 40, 2)])


def test_a_task_that_never_ends_calling_itself_is_an_error(queue: FluxQueue) -> None:
    @queue.task()
    def poll() -> None:
        poll.options(delay=60)()

    with inline(queue), pytest.raises(RuntimeError, match=r"'poll' has led to 1000 attempts"):
        poll()


def test_a_wait_that_nothing_can_end_ends_at_once(queue: FluxQueue) -> None:
    @queue.task(result_ttl=60)
    async def outer() -> str:
        with pytest.raises(ResultTimeout):
            await queue.handle("missing").result_async(in_worker=True)
        return "ended"

    with inline(queue) as tasks:
        assert outer.enqueue().result() == "ended"
        with pytest.raises(ResultTimeout):
            queue.handle("missing").result()
        assert tasks.now == 0


def test_the_limit_of_a_wait_passes_on_the_clock_of_the_test(queue: FluxQueue) -> None:
    @queue.task(result_ttl=600)
    def inner() -> None: ...

    @queue.task(result_ttl=600)
    def outer() -> float:
        handle = inner.options(delay=60).enqueue()
        with pytest.raises(ResultTimeout, match="no result within 5 s"):
            handle.result(5, in_worker=True)
        before = tasks.now
        handle.result(100, in_worker=True)
        return before

    with inline(queue) as tasks:
        assert outer.enqueue().result() == pytest.approx(5, abs=1)
        assert tasks.now == 60


def test_a_task_can_wait_for_itself_alone(queue: FluxQueue) -> None:
    @queue.task_with_context(result_ttl=600)
    async def work(ctx: Context) -> str:
        with pytest.raises(ResultTimeout):
            await queue.handle(ctx.metadata.task_id).result_async(in_worker=True)
        return "ended"

    with inline(queue):
        assert work.enqueue().result() == "ended"


def test_the_settings_of_an_url_count(queue: FluxQueue) -> None:
    small = FluxQueue("redis://127.0.0.1:1?max_message_bytes=1000")

    @small.task(result_ttl=60, max_retries=0)
    def repeat(text: str, count: int) -> str:
        return text * count

    with inline() as tasks:
        with pytest.raises(MessageTooLarge):
            repeat.enqueue("x" * 1000, 1)
        assert tasks.calls == []
        with pytest.raises(ValueError, match="more than max_message_bytes of this worker allows"):
            repeat.enqueue("x" * 100, 10)


def test_a_task_that_puts_itself_off_forever_is_an_error(queue: FluxQueue) -> None:
    @queue.task(max_snoozes=5000)
    def poll() -> None:
        raise Snooze(delay=1)

    @queue.task()
    def other() -> None: ...

    with inline(queue) as tasks:
        with pytest.raises(RuntimeError, match="puts itself off may never end"):
            poll()
        assert tasks.calls[0].state == "cancelled"
        other()
        assert tasks.calls[1].state == "succeeded"


def test_ctrl_c_ends_the_test_and_not_the_attempt(queue: FluxQueue) -> None:
    @queue.task()
    def work() -> None:
        raise KeyboardInterrupt

    @queue.task()
    async def work_async() -> None:
        raise KeyboardInterrupt

    with inline(queue) as tasks:
        for call in (work, work_async):
            with pytest.raises(KeyboardInterrupt):
                call.enqueue()
        assert [call.attempts for call in tasks.calls] == [1, 1]


def test_a_task_without_its_code_is_an_error(queue: FluxQueue) -> None:
    charge = queue.declare("charge")
    with inline(queue), pytest.raises(ConfigurationError, match="no FluxQueue object here has its"):
        charge(1)


def test_another_object_can_have_the_code() -> None:
    ran: list[int] = []
    shop, worker, other = FluxQueue(NOWHERE), FluxQueue(NOWHERE), FluxQueue("redis://elsewhere")
    charge = shop.declare("charge", queue="payments")

    @worker.task(queue="payments")
    def charge_(cents: int) -> None: ...

    @worker.task(name="charge", queue="payments")
    def charge_here(cents: int) -> None:
        ran.append(cents)

    @other.task(name="charge", queue="payments")
    def charge_there(cents: int) -> None:
        raise AssertionError

    with inline(other, shop, worker):
        charge(7)
    assert ran == [7]


def test_periodic_tasks_run_when_the_test_says_so(queue: FluxQueue) -> None:
    ran: list[str] = []

    @queue.periodic("0 3 * * *", args=("daily",))
    @queue.periodic("0 4 * * 1", id="weekly", args=("weekly",))
    @queue.task()
    def report(kind: str) -> None:
        ran.append(kind)

    with inline(queue) as tasks:
        tasks.run_periodic("report")
        tasks.run_periodic("weekly")
        assert queue.schedule("hourly", report.call("hourly"), "0 * * * *") == "added"
        assert queue.schedule("hourly", report.call("hourly"), "0 * * * *") == "unchanged"
        tasks.run_periodic("hourly")
        assert ran == ["daily", "weekly", "hourly"]
        assert queue.unschedule("hourly") and not queue.unschedule("hourly")
        with pytest.raises(ConfigurationError, match="code of a worker declares"):
            queue.unschedule("weekly")
        with pytest.raises(ConfigurationError, match="0 periodic tasks have the id 'hourly'"):
            tasks.run_periodic("hourly")


def test_objects_that_are_made_later_are_taken_too() -> None:
    ran: list[int] = []
    with inline():
        queue = FluxQueue(NOWHERE)

        @queue.task()
        def note() -> None:
            ran.append(1)

        note()
    assert ran == [1]
    with pytest.raises(BrokerUnavailable):
        note()


@pytest.mark.parametrize("mode", [inline, captured])
def test_everything_is_as_before_at_the_end(queue: FluxQueue, mode: Any) -> None:
    @queue.task()
    def fail() -> None:
        raise ValueError

    before = queue.broker.producer, queue.settings, repr(queue)
    with pytest.raises(ZeroDivisionError), mode(queue):
        assert fail.options(delay=1) and 1 / 0
    assert (queue.broker.producer, queue.settings, repr(queue)) == before
    with pytest.raises(BrokerUnavailable):
        fail()


def test_modes_can_be_nested(queue: FluxQueue) -> None:
    ran: list[int] = []

    @queue.task()
    def note(number: int) -> None:
        ran.append(number)

    with inline() as outer:
        note(1)
        with captured() as inner:
            note(2)
            later = FluxQueue(NOWHERE)

            @later.task()
            def other() -> None:
                ran.append(3)

            assert len(inner.calls) == 1
        note(4)
        other()
        assert ran == [1, 4, 3] and len(outer.calls) == 3
    with pytest.raises(RuntimeError, match="make another one"):
        outer.__enter__()


def test_a_mode_takes_only_the_objects_that_it_names(queue: FluxQueue) -> None:
    other = FluxQueue(NOWHERE)

    @other.task()
    def note() -> None: ...

    with inline(queue), pytest.raises(BrokerUnavailable):
        note()


def test_a_handle_can_be_pickled(queue: FluxQueue) -> None:
    import pickle

    @queue.task(result_ttl=60)
    def add() -> int:
        return 1

    with inline(queue):
        assert pickle.loads(pickle.dumps(add.enqueue())).result() == 1


def test_progress_can_be_watched(queue: FluxQueue) -> None:
    @queue.task_with_context(result_ttl=60)
    async def work(ctx: Context) -> None:
        for done in range(3):
            ctx.progress(done, 3)
            await asyncio.sleep(0.001)

    @queue.task(result_ttl=60)
    async def watch() -> list[float]:
        handle = await work.enqueue_async()
        return [progress.done async for progress in handle.watch(in_worker=True)]

    with inline(queue):
        assert watch.enqueue().result() == [0, 1, 2]


class TestUnittest(unittest.TestCase):
    """A mode without pytest."""

    def test_a_mode_is_entered_by_a_test_case(self) -> None:
        queue = FluxQueue(NOWHERE)
        ran: list[int] = []

        @queue.task()
        def note() -> None:
            ran.append(1)

        self.enterContext(inline(queue))
        note()
        self.assertEqual(ran, [1])  # noqa: PT009
