"""Calls of `asyncio.create_task` that are the last act of an event loop: the loop cancels
them, and none is lost without a word."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue, FluxQueueWarning
from support.loops import LOOPS, NewLoop, run
from support.tasks import async_work_on, messages, work_on

NOWHERE = "redis://127.0.0.1:1?timeout=0.2"
WAYS: dict[str, Callable[[str], Callable[[int], Any]]] = {
    "call": async_work_on,
    "enqueue_async": lambda url: work_on(url).enqueue_async,
    "with options": lambda url: async_work_on(url).options(max_retries=1),
}


def in_tasks(call: Callable[[int], Any], turns: int) -> Callable[[], Coroutine[Any, Any, None]]:
    """A program that makes three calls, and ends after `turns` turns of the loop."""

    async def main() -> None:
        for number in range(3):
            asyncio.create_task(call(number))  # noqa: RUF006  # the trap
        for _ in range(turns):
            await asyncio.sleep(0)

    return main


@LOOPS
@pytest.mark.parametrize("turns", [0, 1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_a_call_in_a_task_that_is_the_last_act_of_a_loop_is_sent(
    way: str, turns: int, redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without one if Redis answers while tasks are cancelled
        run(new_loop, in_tasks(WAYS[way](redis_url), turns)())
    assert [message["args"][0] for message in messages(redis)] == [0, 1, 2]


@LOOPS
@pytest.mark.parametrize("turns", [0, 1])
def test_its_error_is_reported(turns: int, new_loop: NewLoop) -> None:
    reported: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
        await in_tasks(async_work_on(NOWHERE), turns)()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(new_loop, main())
    assert [type(what["exception"]) for what in reported] == [BrokerUnavailable] * 3
    assert "'work'" in str(reported[0]["exception"])


@LOOPS
def test_a_call_whose_task_the_program_cancels_is_not_sent(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        task = asyncio.create_task(work(1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(new_loop, main())
    assert messages(redis) == []


@LOOPS
def test_a_coroutine_that_awaits_calls_is_cancelled_as_any_other(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = async_work_on(redis_url)
    ended: list[BaseException] = []

    async def flow() -> None:
        try:
            while True:
                await work(1)
        except asyncio.CancelledError as error:
            ended.append(error)
            raise

    async def main() -> None:
        task = asyncio.create_task(flow())
        await asyncio.sleep(0)
        assert not task.done()

    run(new_loop, main())
    assert len(ended) == 1


@LOOPS
@pytest.mark.parametrize("turns", [0, 1])
def test_a_bulk_call_that_is_cut_off_warns(turns: int, redis_url: str, new_loop: NewLoop) -> None:
    work = work_on(redis_url)

    def send(number: int) -> Any:
        return work.enqueue_many_async([(number,)] * 10_000)

    with pytest.warns(FluxQueueWarning, match=r"'work'.*cancelled by the end.*may not") as caught:
        run(new_loop, in_tasks(send, turns)())
    assert len(caught) == 3
    assert "write `await work.enqueue_many_async(...)`" in str(caught[0].message)


def in_the_last_turn(call: Callable[[], Any]) -> Callable[[], Coroutine[Any, Any, None]]:
    """A program whose task is made in the turn in which the loop stops: the loop cancels it
    in place of its first step."""

    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: asyncio.create_task(call()))

    return main


def test_a_call_that_has_not_begun_at_the_end_is_sent_too(redis_url: str, redis: Any) -> None:
    work = async_work_on(redis_url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asyncio.run(in_the_last_turn(lambda: work(1))())
    assert [message["args"] for message in messages(redis)] == [[1]]


def test_a_cancel_that_has_not_begun_at_the_end_warns(redis_url: str) -> None:
    handle = FluxQueue(redis_url).handle("019aa0c2-7b1f-7c3e-8d2a-000000000001")
    with pytest.warns(FluxQueueWarning, match=r"cancelled by the end.*was not cancelled; write"):
        asyncio.run(in_the_last_turn(handle.cancel_async)())
