"""Tasks that are declared as unique or limited, or with middleware around their calls: these go
through the view for calls with options, which knows all of that. Other tasks do not pay for it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .explained_calls import warns_if_each_not_awaited, warns_if_not_awaited
from .handle import TaskHandle
from .task import AsyncTask, BaseTask, Task
from .task_call import Call, TaskCall
from .typed_task import TypedAsyncTask, TypedTask

if TYPE_CHECKING:
    from datetime import timedelta

    from .with_options import BaseWithOptions

P = ParamSpec("P")
R = TypeVar("R")


class KeyedCalls(BaseTask[P, R]):
    """Passes each call on."""

    __slots__ = ()

    def _view(self) -> BaseWithOptions[P, R]:
        view: BaseWithOptions[P, R] = self.options()  # type: ignore[attr-defined]
        return view

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        return self._view().enqueue(*args, **kwargs)

    def enqueue_async(
        self, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, TaskHandle[R]]:
        return self._view().enqueue_async(*args, **kwargs)

    def enqueue_many(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> int:
        return self._view().enqueue_many(calls, spread=spread)

    @warns_if_not_awaited
    async def enqueue_many_async(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> int:
        return await self._view().enqueue_many_async(calls, spread=spread)

    def enqueue_each(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> list[TaskHandle[R]]:
        return self._view().enqueue_each(calls, spread=spread)

    @warns_if_each_not_awaited
    async def enqueue_each_async(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> list[TaskHandle[R]]:
        return await self._view().enqueue_each_async(calls, spread=spread)

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskCall[R]:
        return self._view().call(*args, **kwargs)


class KeyedTask(KeyedCalls[P, R], Task[P, R]):
    """A unique or limited `Task`."""

    __slots__ = ()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.options()(*args, **kwargs)


class KeyedAsyncTask(KeyedCalls[P, R], AsyncTask[P, R]):
    """A unique or limited `AsyncTask`."""

    __slots__ = ()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, None]:
        return self.options()(*args, **kwargs)


class KeyedTypedTask(KeyedCalls[P, R], TypedTask[P, R]):
    """A unique or limited `Task` whose arguments are converted."""

    __slots__ = ()
    plain_class = KeyedTask

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.options()(*args, **kwargs)


class KeyedTypedAsyncTask(KeyedCalls[P, R], TypedAsyncTask[P, R]):
    """A unique or limited `AsyncTask` whose arguments are converted."""

    __slots__ = ()
    plain_class = KeyedAsyncTask

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, None]:
        return self.options()(*args, **kwargs)


KeyedTask.typed_class, KeyedAsyncTask.typed_class = KeyedTypedTask, KeyedTypedAsyncTask
