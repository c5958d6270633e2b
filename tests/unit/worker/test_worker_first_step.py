"""The first step of an asyncio task, run where the task is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from fluxqueue_worker.first_step import FirstSteps
from support.loops import LOOPS

NewLoop = Callable[[], asyncio.AbstractEventLoop]
variable: ContextVar[str] = ContextVar("variable", default="outside")


def in_callback(
    new_loop: NewLoop, check: Callable[[FirstSteps], Coroutine[Any, Any, None]]
) -> None:
    """Calls `check` in a callback of a loop, outside of any task, and waits for
    what it returns."""
    loop = new_loop()
    results: list[BaseException | Coroutine[Any, Any, None]] = []

    def call() -> None:
        try:
            results.append(check(FirstSteps(loop)))
        except BaseException as error:  # noqa: BLE001 - shown below
            results.append(error)
        loop.stop()

    try:
        loop.call_soon(call)
        loop.run_forever()
        (result,) = results
        if isinstance(result, BaseException):
            raise result
        loop.run_until_complete(result)
    finally:
        loop.close()


def begin(steps: FirstSteps, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    context = copy_context()
    task = steps.make(coroutine, "a", context)
    context.run(steps.run)
    return task


async def nothing() -> None: ...


@LOOPS
def test_a_coroutine_that_never_waits_ends_with_its_first_step(new_loop: NewLoop) -> None:
    seen: list[Any] = []

    async def look() -> str:
        seen.append(asyncio.current_task())
        variable.set("inside")
        return "the result"

    def check(steps: FirstSteps) -> Coroutine[Any, Any, None]:
        context = copy_context()
        task = steps.make(look(), "its name", context)
        assert not seen
        context.run(steps.run)
        assert seen == [task]
        assert task.done() and task.result() == "the result"
        assert task.get_name() == "its name"
        assert variable.get() == "outside"
        return nothing()

    in_callback(new_loop, check)


@LOOPS
def test_a_coroutine_that_waits_continues_as_any_task(new_loop: NewLoop) -> None:
    seen: list[Any] = []

    async def wait() -> None:
        variable.set("inside")
        await asyncio.sleep(0.001)
        seen.extend([asyncio.current_task(), variable.get()])

    def check(steps: FirstSteps) -> Coroutine[Any, Any, None]:
        task = begin(steps, wait())
        assert not task.done()
        assert asyncio.all_tasks(task.get_loop()) == {task}

        async def rest() -> None:
            await task
            assert seen == [task, "inside"]
            assert variable.get() == "outside"

        return rest()

    in_callback(new_loop, check)


@LOOPS
@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_is_the_tasks_own(new_loop: NewLoop, error: BaseException) -> None:
    async def fail() -> None:
        raise error

    def check(steps: FirstSteps) -> Coroutine[Any, Any, None]:
        task = begin(steps, fail())
        assert task.exception() is error
        return nothing()

    in_callback(new_loop, check)


@LOOPS
def test_other_callbacks_are_called_by_the_loop(new_loop: NewLoop) -> None:
    called: list[str] = []

    class Calls:
        """As a name it is asked for its text while the task is made."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.loop = loop

        def __str__(self) -> str:
            self.loop.call_soon(called.append, "later")
            return "a name"

    def check(steps: FirstSteps) -> Coroutine[Any, Any, None]:
        name: Any = Calls(steps._loop)
        task = steps.make(nothing(), name, copy_context())
        steps.run()
        assert task.done() and called == []
        assert "call_soon" not in vars(steps._loop)

        async def rest() -> None:
            await asyncio.sleep(0)
            assert called == ["later"]

        return rest()

    in_callback(new_loop, check)


@LOOPS
def test_a_factory_of_the_application_makes_none_of_these_tasks(new_loop: NewLoop) -> None:
    made: list[Any] = []

    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    def check(steps: FirstSteps) -> Coroutine[Any, Any, None]:
        steps._loop.set_task_factory(factory)
        assert begin(steps, nothing()).done()
        assert made == []
        return nothing()

    in_callback(new_loop, check)


@LOOPS
def test_a_call_soon_of_the_application_stays_in_place(new_loop: NewLoop) -> None:
    def check(steps: FirstSteps) -> Coroutine[Any, Any, None]:
        theirs = steps._loop.call_soon
        vars(steps._loop)["call_soon"] = theirs
        assert begin(steps, nothing()).done()
        assert vars(steps._loop).pop("call_soon") is theirs
        return nothing()

    in_callback(new_loop, check)


@LOOPS
def test_an_object_that_is_not_a_coroutine_is_refused(new_loop: NewLoop) -> None:
    def check(steps: FirstSteps) -> Coroutine[Any, Any, None]:
        wrong: Any = 3
        with pytest.raises(TypeError, match="coroutine"):
            steps.make(wrong, "a", copy_context())
        assert "call_soon" not in vars(steps._loop)
        return nothing()

    in_callback(new_loop, check)
