"""The future of `enqueue_async` alone: wherever a coroutine is taken, it is."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from fluxqueue_core.future import EnqueueFuture

Main = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Main], list[dict[str, Any]]]:
    """Runs a coroutine function; returns what the loop's exception handler got."""

    def runner(main: Main) -> list[dict[str, Any]]:
        noise: list[dict[str, Any]] = []

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, what: noise.append(what))
            await main()
            gc.collect()  # collection reports an exception that was never retrieved

        factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(watched())
        return noise

    return runner


def future(result: Exception | None = None, *, done: bool = False) -> EnqueueFuture:
    """Resolves in the next turn of the loop, as the core's do, or at once."""
    loop = asyncio.get_running_loop()
    made = EnqueueFuture(loop=loop)

    def resolve() -> None:
        if made.done():
            return
        if result is None:
            made.set_result(None)
        else:
            made.set_exception(result)

    if done:
        resolve()
    else:
        loop.call_soon(resolve)
    return made


def open_future() -> EnqueueFuture:
    return EnqueueFuture(loop=asyncio.get_running_loop())


async def as_group(made: EnqueueFuture) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(made)


async def as_coroutine(made: EnqueueFuture) -> None:
    await made


async def by_wait(made: EnqueueFuture) -> None:
    # Itself, or by `ensure_future`, it is refused as the coroutine that it is as well.
    with pytest.raises(TypeError, match="coroutines is forbidden"):
        await asyncio.wait([asyncio.ensure_future(made)])
    done, _ = await asyncio.wait([asyncio.create_task(made)])
    await done.pop()


WAYS: dict[str, Callable[[EnqueueFuture], Any]] = {
    "await": as_coroutine,
    "create_task": asyncio.create_task,
    "ensure_future": asyncio.ensure_future,
    "gather": asyncio.gather,
    "wait_for": lambda made: asyncio.wait_for(made, 30),
    "shield": asyncio.shield,
    "TaskGroup": as_group,
    "wait": by_wait,
}


def test_the_call_counts_as_future_and_as_coroutine(run: Any) -> None:
    async def main() -> None:
        made = future()
        assert asyncio.isfuture(made)
        assert asyncio.iscoroutine(made)
        assert isinstance(made, Coroutine)
        assert inspect.isawaitable(made)
        assert not hasattr(made, "__dict__")
        await made

    assert run(main) == []


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_waiting_ends_with_the_result(run: Any, way: str, done: bool) -> None:
    async def main() -> None:
        made = future(done=done)
        assert await WAYS[way](made) in (None, [None])
        assert made.done()

    assert run(main) == []


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_waiting_raises_the_error_and_nothing_else(
    run: Any, way: str, done: bool
) -> None:
    async def main() -> None:
        with pytest.raises((ConnectionError, ExceptionGroup)) as caught:
            await WAYS[way](future(ConnectionError("away"), done=done))
        error = caught.value
        errors = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        assert [(type(error), str(error)) for error in errors] == [(ConnectionError, "away")]

    assert run(main) == []


@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize("way", ["await", "create_task", "gather", "wait_for", "TaskGroup"])
def test_cancelling_the_one_that_waits_cancels_the_call(run: Any, way: str, turns: int) -> None:
    async def main() -> None:
        made = open_future()

        async def wait() -> None:
            await WAYS[way](made)

        task = asyncio.create_task(wait())
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns == 0:
            made.close()  # a task that has not begun never sees the future
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.cancelled()

    assert run(main) == []


def test_a_task_cancelled_before_its_first_step_withdraws_the_call(run: Any) -> None:
    async def main() -> None:
        made = open_future()
        task = asyncio.create_task(made)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.cancelled()

    assert run(main) == []


def test_a_timeout_cancels_the_call(run: Any) -> None:
    async def main() -> None:
        made = open_future()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(made, 0.001)
        assert made.cancelled()

    assert run(main) == []


def test_a_cancelled_call_raises_when_it_is_awaited_later(run: Any) -> None:
    async def main() -> None:
        made = open_future()
        made.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(made)

    assert run(main) == []


def test_an_error_that_is_never_awaited_is_reported_once(run: Any) -> None:
    async def main() -> None:
        future(ConnectionError("away"))
        await asyncio.sleep(0)

    assert [str(noise["exception"]) for noise in run(main)] == ["away"]


def test_thousands_gathered(run: Any) -> None:
    async def main() -> None:
        assert await asyncio.gather(*(future() for _ in range(5000))) == [None] * 5000
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(future()) for _ in range(5000)]
        assert all(task.done() and task.result() is None for task in tasks)

    assert run(main) == []


def test_a_task_that_waits_can_be_shown(run: Any) -> None:
    async def main() -> None:
        task = asyncio.create_task(open_future())
        await asyncio.sleep(0)
        assert "EnqueueFuture" in repr(task)
        assert task.get_stack() == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert run(main) == []


@pytest.mark.parametrize(
    "thrown",
    [(KeyError("k"),), (KeyError,), (KeyError, "k"), (KeyError, KeyError("k")), (KeyError, None)],
)
def test_throw_takes_what_a_coroutines_throw_takes(run: Any, thrown: tuple[Any, ...]) -> None:
    async def main() -> None:
        made = open_future()
        with pytest.raises(KeyError):
            made.throw(*thrown)
        assert made.cancelled()

    assert run(main) == []
