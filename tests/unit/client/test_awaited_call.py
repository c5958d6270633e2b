"""The coroutines of methods that have to be awaited: what they warn of, and that they are as
any other."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from fluxqueue import (
    BrokerUnavailable,
    FluxQueue,
    FluxQueueWarning,
    ResultTimeout,
    gather_results,
    gather_results_sync,
)

queue = FluxQueue("redis://127.0.0.1:1?timeout=0.1")
ID = UUID("01a229ce-5f85-79b1-bdb9-aa602614c724")


@queue.task()
def work(a: Any) -> None: ...


@queue.task()
async def async_work(a: Any) -> None: ...


@queue.task()
def typed(a: UUID) -> None: ...


@queue.task()
async def async_typed(a: UUID) -> None: ...


HANDLE = queue.handle(ID)
# The call, and a part of what it warns of.
ABOUT_HANDLES: dict[str, tuple[Callable[[], Any], str]] = {
    "cancel": (HANDLE.cancel_async, "cancel_async was not awaited, and the task was not cancelled"),
    "result": (HANDLE.result_async, "result_async was not awaited, and its result was not read"),
    "progress": (HANDLE.progress_async, "and its progress was not read"),
    "status": (HANDLE.status_async, "and its status was not read"),
    "gather": (lambda: gather_results([HANDLE]), "gather_results was not awaited, and no result"),
}
# The call that blocks, and the one to await.
BLOCKING: dict[str, tuple[Callable[[], Any], str]] = {
    "cancel": (HANDLE.cancel, "handle.cancel_async()"),
    "result": (lambda: HANDLE.result(0), "handle.result_async(...)"),
    "progress": (HANDLE.progress, "handle.progress_async()"),
    "status": (HANDLE.status, "handle.status_async()"),
    "gather": (lambda: gather_results_sync([HANDLE], 0), "gather_results(...)"),
}
TASKS = pytest.mark.parametrize("task", [work, async_work, typed, async_typed])


@TASKS
def test_a_call_that_is_not_awaited_warns_with_its_line(task: Any) -> None:
    async def main() -> None:
        task.enqueue_many_async([(ID,)])

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.warns(FluxQueueWarning, match="was not awaited, and none") as caught:
            asyncio.run(main())
    (warning,) = caught
    assert f"write `await {task.__name__}.enqueue_many_async(...)`" in str(warning.message)
    assert (warning.filename, warning.lineno) == (__file__, main.__code__.co_firstlineno + 1)


@pytest.mark.parametrize("way", ABOUT_HANDLES)
def test_a_call_about_a_handle_that_is_not_awaited_warns_with_its_line(way: str) -> None:
    call, text = ABOUT_HANDLES[way]

    async def main() -> None:
        call()

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.warns(FluxQueueWarning, match=text) as caught:
            asyncio.run(main())
    (warning,) = caught
    said = str(warning.message)
    assert (str(ID) in said) == (way != "gather")
    assert re.search(r"write `await \w+(\.\w+_async)?\(\.\.\.\)`, or where no event loop", said)
    assert warning.filename == __file__


@pytest.mark.parametrize("way", BLOCKING)
def test_a_call_about_a_handle_that_blocks_a_loop_warns(way: str) -> None:
    call, instead = BLOCKING[way]

    async def main() -> None:
        call()

    text = rf"blocks the event loop until .*; write `await {re.escape(instead)}`"
    with (
        pytest.warns(FluxQueueWarning, match=text) as caught,
        pytest.raises((BrokerUnavailable, ResultTimeout)),
    ):
        asyncio.run(main())
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((BrokerUnavailable, ResultTimeout)):
            call()


def test_methods_of_a_handle_are_coroutine_functions() -> None:
    for method in (HANDLE.cancel_async, HANDLE.result_async, HANDLE.progress_async, gather_results):
        assert inspect.iscoroutinefunction(method)
        if sys.version_info < (3, 14):  # deprecated from then on
            assert asyncio.iscoroutinefunction(method)
    assert "timeout" in inspect.signature(HANDLE.result_async).parameters
    assert next(iter(inspect.signature(gather_results).parameters)) == "handles"


def test_an_asyncio_task_shows_where_a_call_waits() -> None:
    async def main() -> None:
        task = asyncio.create_task(HANDLE.cancel_async())
        assert "cancel_async" in repr(task)
        assert task.get_stack()
        with pytest.raises(BrokerUnavailable):
            await task

    asyncio.run(main())


@TASKS
def test_an_awaited_method_is_a_coroutine_function(task: Any) -> None:
    assert inspect.iscoroutinefunction(task.enqueue_many_async)
    if sys.version_info < (3, 14):  # deprecated from then on
        assert asyncio.iscoroutinefunction(task.enqueue_many_async)
    assert list(inspect.signature(task.enqueue_many_async).parameters) == ["calls", "spread"]
    assert "two chunks in flight" in (inspect.getdoc(task.enqueue_many_async) or "")


async def awaited(task: Any) -> None:
    await task.enqueue_many_async([(ID,)])


async def in_a_task(task: Any) -> None:
    await asyncio.create_task(task.enqueue_many_async([(ID,)]))


async def gathered(task: Any) -> None:
    await asyncio.gather(task.enqueue_many_async([(ID,)]))


async def limited(task: Any) -> None:
    await asyncio.wait_for(task.enqueue_many_async([(ID,)]), 60)


@TASKS
@pytest.mark.parametrize("wait", [awaited, in_a_task, gathered, limited])
def test_a_call_that_is_awaited_raises_without_a_warning(
    task: Any, wait: Callable[[Any], Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BrokerUnavailable) as caught:
            asyncio.run(wait(task))
    assert caught.value.enqueued == 0


@TASKS
def test_a_call_that_is_closed_or_cancelled_does_not_warn(task: Any) -> None:
    async def main() -> None:
        cancelled = asyncio.create_task(task.enqueue_many_async([(ID,)]))
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task.enqueue_many_async([(ID,)]).close()
        with pytest.raises(KeyError):
            task.enqueue_many_async([(ID,)]).throw(KeyError())
        asyncio.run(main())
