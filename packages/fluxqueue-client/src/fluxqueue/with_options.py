"""`TaskWithOptions`: a task with options for its calls.

Why: docs/decisions/0091-options-of-a-call-are-a-view-of-its-task.md
"""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack

from fluxqueue_core import Producer, Route, new_task_id

from . import blocking
from .bulk import BulkCalls
from .call_options import CallOptions, check_can_begin, read_options
from .call_rules import CallRules, Keys, call_rules
from .enqueue_interface import CallLimit, CallLock
from .errors import ConfigurationError
from .explained_calls import ExplainedCalls, warns_if_each_not_awaited, warns_if_not_awaited
from .handle import FoundTask, TaskHandle, duplicate
from .task_call import MOST_ROUTES, NO_OPTIONS, Call, TaskCall, as_json, route_of
from .task_properties import TaskProperties
from .telemetry import API, modules

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Self


P = ParamSpec("P")
R = TypeVar("R")


class BaseWithOptions(ExplainedCalls, Generic[P, R]):
    """The common part of `TaskWithOptions` and `AsyncTaskWithOptions`.

    Attributes:
        task: the task itself.
    """

    # Every call reads these; most of them depend on the options alone.
    __slots__ = (
        "__weakref__",
        "_enqueueing",
        "_headers",
        "_keeps",
        "_options",
        "_producer",
        "_queue",
        "_route",
        "_rules",
        "_task_id",
        "task",
    )

    task: TaskProperties[P, R]

    def __init__(self, task: TaskProperties[P, R], options: Mapping[str, Any]) -> None:
        self.task = task
        self._options = options  # checked by `read_options`
        check_can_begin(options, task.terms.expires)
        self._rules = call_rules(task, options)
        self._route = route_of(task, options)
        self._producer: Producer = task._producer
        own = task._enqueueing
        self._enqueueing = own if own.around is None else own.of_calls(options)
        self._queue: str = self._route.queue
        self._headers = as_json(options.get("headers"))
        self._task_id: str | None = options.get("task_id")
        self._keeps = options.get("result_ttl", task.terms.result_ttl) is not None

    @classmethod
    def of(cls, task: TaskProperties[P, R], options: CallOptions) -> Self:
        """Returns the task with the options that the caller gave: an earlier object, if the
        same were given then."""
        # Few calls share an id or a moment.
        if "task_id" in options or "eta" in options:
            return cls(task, read_options(NO_OPTIONS, options))
        values = options.values()
        # 1, 1.0 and True are equal, and not all of them are the same option.
        key = (*options, *values, *map(type, values))
        try:
            view = task._views.get(key)
        except TypeError:  # headers can't be hashed
            return cls(task, read_options(NO_OPTIONS, options))
        if view is None:
            view = cls(task, read_options(NO_OPTIONS, options))
            if len(task._views) >= MOST_ROUTES:
                task._views.clear()
            task._views[key] = view
        return view

    def options(self, **options: Unpack[CallOptions]) -> Self:
        """Returns the task with these options too. They replace earlier ones of their name;
        None removes one.

        Raises:
            TypeError: an option is unknown, or a value has the wrong type.
            ConfigurationError: a value is out of range, or both `delay` and `eta` are given.
        """
        return type(self)(self.task, read_options(self._options, options))

    @property
    def queue(self) -> str:
        """The queue for these calls."""
        return self._queue

    @property
    def task_name(self) -> str:
        """The name under which workers know the task."""
        return self._route.name

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """As `Task.enqueue`, with the options."""
        keys = None if self._rules is None else self._rules.keys(self.task, args, kwargs)
        args, kwargs = self.task._prepared(args, kwargs)  # type: ignore[assignment]
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_async")
        return self._send(args, kwargs, keys)

    def enqueue_async(
        self, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, TaskHandle[R]]:
        """As `Task.enqueue_async`, with the options."""
        return self._send_async(args, kwargs, self._handle(), wants_handle=True)

    def enqueue_many(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> int:
        """As `Task.enqueue_many`, with the options.

        Raises:
            ConfigurationError: there is a `task_id`, which can name one call only.
        """
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_many_async")
        return self._bulk().send(self._calls(calls), spread)

    @warns_if_not_awaited
    async def enqueue_many_async(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> int:
        """As `Task.enqueue_many_async`, with the options."""
        return await self._bulk().send_async(self._calls(calls), spread)

    def enqueue_each(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> list[TaskHandle[R]]:
        """As `Task.enqueue_each`, with the options.

        Raises:
            ConfigurationError: there is a `task_id`, which can name one call only.
        """
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_each_async")
        return self._bulk().send_each(self._calls(calls), spread)

    @warns_if_each_not_awaited
    async def enqueue_each_async(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> list[TaskHandle[R]]:
        """As `Task.enqueue_each_async`, with the options."""
        return await self._bulk().send_each_async(self._calls(calls), spread)

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskCall[R]:
        """Returns a call with these options, for `enqueue_many`. Nothing is sent.

        Raises:
            TypeError: the call does not fit the function's signature.
            ArgumentTypeError, ArgumentValueError: an argument does not fit its annotation.
        """
        keys = None if self._rules is None else self._rules.keys(self.task, args, kwargs)
        args, kwargs = self.task._prepared(args, kwargs)  # type: ignore[assignment]
        return TaskCall(self.task, self._options, args, kwargs, keys)

    def _calls(self, calls: Iterable[Call]) -> Iterable[Any]:
        # Calls that need a key or pass middleware are prepared one by one.
        if self._rules is not None or self._enqueueing.around is not None:
            return calls
        return self.task._prepared_calls(calls)

    def _bulk(self) -> BulkCalls:
        if "task_id" in self._options:
            raise ConfigurationError(
                f"{self._where}: the option task_id names one call; give each call of "
                f"enqueue_many its own, by task.options(task_id=...).call(...)"
            )
        kind, route = BulkCalls, self._current_route()
        if self._enqueueing.around is not None:
            from .around_bulk import AroundBulkCalls  # only for middleware around calls

            kind = AroundBulkCalls
        return kind(self.task, route, self._options, self._rules)

    def _current_route(self) -> Route:
        producer = self.task._producer
        if self._producer is not producer:  # its broker has moved
            # This order matters: another thread may read both between these lines.
            self._route = route_of(self.task, self._options)
            self._enqueueing = self.task._enqueueing.of_calls(self._options)
            self._producer = producer
        return self._route

    def _handle(self) -> TaskHandle[R]:
        task = self.task
        task_id = self._task_id or new_task_id()
        return TaskHandle(task_id, self._queue, task.broker, task.returned, self._keeps)

    def _send(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], keys: Keys | None = None
    ) -> TaskHandle[R]:
        """Enqueues a prepared call from this thread, and returns the task's handle."""
        route, handle = self._current_route(), self._handle()
        enqueueing = self._enqueueing
        way = enqueueing.plain if API not in modules else enqueueing.way()
        try:
            if self._rules is None:
                way.enqueue(route, args, kwargs, self._headers, handle.id)
                return handle
            lock, limit = self._wanted(self._rules, args, kwargs, keys)
            present = way.enqueue(route, args, kwargs, self._headers, handle.id, lock, limit)
        except (TypeError, ValueError) as error:
            raise self._explain(error, args, kwargs) from None
        return self._judged(handle, present)

    def _wanted(
        self, rules: CallRules, args: tuple[Any, ...], kwargs: dict[str, Any], keys: Keys | None
    ) -> tuple[CallLock | None, CallLimit | None]:
        """Returns the lock and the limit of a prepared call."""
        return rules.wanted(args, kwargs, keys, has_chosen_id=self._task_id is not None)

    def _judged(self, handle: TaskHandle[R], present: str | None) -> TaskHandle[R]:
        """Returns the handle of a call, or of the task that has its lock.

        Args:
            present: the id of that task; None if the call was enqueued.

        Raises:
            DuplicateTask: the option `on_conflict` is "raise".
        """
        if present is None:
            return handle
        found: TaskHandle[R] = FoundTask(
            present, handle.queue, self.task.broker, self.task.returned, handle._keeps
        )
        if self._rules is not None and self._rules.raises:
            raise duplicate(self._where, found)
        return found

    def _send_async(
        self, args: Any, kwargs: Any, handle: TaskHandle[R], *, wants_handle: bool
    ) -> Coroutine[Any, Any, Any]:
        keys = None if self._rules is None else self._rules.keys(self.task, args, kwargs)
        args, kwargs = self.task._prepared(args, kwargs)
        result: Any = handle if wants_handle else None
        route = self._current_route()
        enqueueing = self._enqueueing
        way = enqueueing.plain if API not in modules else enqueueing.way()
        try:
            if self._rules is None:
                return way.enqueue_async(route, args, kwargs, self._headers, handle.id, result)
            lock, limit = self._wanted(self._rules, args, kwargs, keys)

            def judge(present: str | None) -> Any:
                judged = self._judged(handle, present)
                return judged if wants_handle else None

            done = result if lock is None else judge
            headers = self._headers
            return way.enqueue_async(route, args, kwargs, headers, handle.id, done, lock, limit)
        except (TypeError, ValueError) as error:
            raise self._explain(error, args, kwargs) from None
        except RuntimeError:
            if blocking.running_loop() is not None:
                raise
        sent = self._send(args, kwargs, keys)
        return self._enqueued(None if result is None else sent)

    @property
    def _signature(self) -> inspect.Signature:
        return self.task.__signature__

    @property
    def __name__(self) -> str:  # type: ignore[override]  # never written
        return f"{self.task.__name__}.options(...)"

    def __reduce__(self) -> Any:
        return type(self), (self.task, self._options)

    def __repr__(self) -> str:
        names = ", ".join(self._options) or "no options"
        return f"<{type(self).__name__} {self.task_name!r} of queue {self.queue!r}: {names}>"


class TaskWithOptions(BaseWithOptions[P, R]):
    """A `Task` with options for its calls, from `Task.options`. It never changes, and any
    number of threads and loops may use it."""

    __slots__ = ()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        keys = None if self._rules is None else self._rules.keys(self.task, args, kwargs)
        args, kwargs = self.task._prepared(args, kwargs)  # type: ignore[assignment]
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_async")
        self._send(args, kwargs, keys)


class AsyncTaskWithOptions(BaseWithOptions[P, R]):
    """An `AsyncTask` with options for its calls, as `TaskWithOptions`."""

    __slots__ = ()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, None]:
        return self._send_async(args, kwargs, self._handle(), wants_handle=False)
