"""Tasks whose arguments are converted, because their annotations are more than JSON."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .explained_calls import warns_if_each_not_awaited, warns_if_not_awaited
from .handle import TaskHandle
from .parameter_types import ParameterTypes, read_types
from .task import AsyncTask, BaseTask, Task
from .task_call import Call, TaskCall
from .task_properties import TaskProperties

if TYPE_CHECKING:
    from datetime import timedelta

    from .conversion import Conversion
    from .converters import Converter

P = ParamSpec("P")
R = TypeVar("R")


class TypedCalls(BaseTask[P, R]):
    """Converts the arguments of each call before it passes them on.

    Attributes:
        local_names: the names visible to the decorator. An annotation may name a class
            that its module defines further down, so the first call reads the annotations
            again. None: they are read.
    """

    # `conversion` may make the object a plain task, so no method uses `super()`.
    __slots__ = ()

    # Its class if all arguments are plain.
    plain_class: type[Any]
    types: ParameterTypes
    local_names: Mapping[str, Any] | None

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        args, kwargs = self._encoded(args, kwargs)  # type: ignore[assignment]
        return BaseTask.enqueue(self, *args, **kwargs)

    def enqueue_async(
        self, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, TaskHandle[R]]:
        args, kwargs = self._encoded(args, kwargs)  # type: ignore[assignment]
        return BaseTask.enqueue_async(self, *args, **kwargs)

    def enqueue_many(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> int:
        return BaseTask.enqueue_many(self, self._prepared_calls(calls), spread=spread)

    @warns_if_not_awaited
    async def enqueue_many_async(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> int:
        calls = self._prepared_calls(calls)
        return await BaseTask.enqueue_many_async(self, calls, spread=spread)

    def enqueue_each(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> list[TaskHandle[R]]:
        return BaseTask.enqueue_each(self, self._prepared_calls(calls), spread=spread)

    @warns_if_each_not_awaited
    async def enqueue_each_async(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> list[TaskHandle[R]]:
        calls = self._prepared_calls(calls)
        return await BaseTask.enqueue_each_async(self, calls, spread=spread)

    def conversion(self) -> Conversion | None:
        names = self.local_names  # once: another thread may make its first call now
        if names is not None:
            self.types = read_types(self.func, self.__signature__, names)
            self.local_names = None
        if self.types.conversion is None:
            # All is plain, and later calls cost what those of other plain tasks do.
            self.__class__ = self.plain_class
        return self.types.conversion

    def _converter(self, parameter: str) -> Converter | None:
        conversion = self.conversion()
        return None if conversion is None else conversion.converters.get(parameter)

    def _encoded(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        conversion = self.conversion()
        if conversion is None:
            return args, kwargs
        return conversion.encode(args, kwargs, self._where)

    def _prepared(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return TaskProperties._prepared(self, *self._encoded(args, kwargs))

    def _prepared_calls(self, calls: Any) -> Any:
        conversion = self.conversion()
        if conversion is None or isinstance(calls, Mapping) or not isinstance(calls, Iterable):
            return calls  # not an iterable of calls: it is refused
        return (
            call if isinstance(call, TaskCall) else conversion.encode_call(call, self._where)
            for call in calls
        )


class TypedTask(TypedCalls[P, R], Task[P, R]):
    """A `Task` with such arguments."""

    __slots__ = ()
    plain_class = Task

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        args, kwargs = self._encoded(args, kwargs)  # type: ignore[assignment]
        Task.__call__(self, *args, **kwargs)


class TypedAsyncTask(TypedCalls[P, R], AsyncTask[P, R]):
    """An `AsyncTask` with such arguments."""

    __slots__ = ()
    plain_class = AsyncTask

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, None]:
        args, kwargs = self._encoded(args, kwargs)  # type: ignore[assignment]
        return AsyncTask.__call__(self, *args, **kwargs)


Task.typed_class, AsyncTask.typed_class = TypedTask, TypedAsyncTask
