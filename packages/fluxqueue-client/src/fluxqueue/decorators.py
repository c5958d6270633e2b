"""The types of the decorators that `FluxQueue.task` and `task_with_context` return."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from .task import AsyncTask, Task

if TYPE_CHECKING:
    from .context import Context

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound="Context")


class TaskDecorator(Protocol):
    """Makes a task from a function; calls take the function's arguments."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # an `async def` is the narrower case
        self, func: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, func: Callable[P, R], /) -> Task[P, R]: ...


class ContextTaskDecorator(Protocol):
    """Makes a task from a function; calls omit its first argument, the context."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, func: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, func: Callable[Concatenate[C, P], R], /) -> Task[P, R]: ...
