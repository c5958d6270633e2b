"""The worker's record of a task: the object behind `Attempt.task`."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fluxqueue.errors import FluxQueueWarning
from fluxqueue_core import CancellableCall

from .error_text import own_frame
from .middleware import Middleware, Run, wrapped_run
from .retry_rules import RetryRules

if TYPE_CHECKING:
    import asyncio

    from fluxqueue.dependency_forms import Provider
    from fluxqueue.periodic import PeriodicTask
    from fluxqueue.task import AnyTask

    from .limit_declarations import QueueLimit
    from .shared_values import SharedValues


# Why: docs/decisions/0276-without-the-gil-a-call-can-be-cancelled.md
FREE_THREADED = "t" in sys.abiflags


class Watch(Protocol):
    """Watches the deadlines of attempts; the worker's is `timeouts.Timeouts`."""

    def guard(self, func: Callable[..., Any], timeout: float) -> Callable[..., Any]: ...
    def begin(self, running: asyncio.Task[Any], timeout: float) -> int: ...
    def end(
        self,
        deadline: int,
        timeout: float,
        running: asyncio.Task[Any],
        error: BaseException | None,
    ) -> BaseException | None: ...


class RegisteredTask:
    """Everything that running a task needs, in plain slots: every attempt reads it.

    Args:
        shared: the values that its dependencies share with other tasks; by default its own.

    Attributes:
        check: binds arguments to the signature that callers see, without the context.
        run: runs an attempt; None for a plain task: call `func` with the arguments.
        retry_rules: decides what follows from a failure.
        terms: the record that the client's task has.
        timeout: seconds for each attempt, from `terms` or from the message; None
            means no limit.
        timeouts: watches the attempts; None until `prepare` has been called.
        encode: returns what the task returned as JSON; None: no result is kept.
        untimed: `func` without a timeout.
    """

    __slots__ = (
        "_keeping",
        "_returned",
        "check",
        "context_type",
        "encode",
        "func",
        "is_async",
        "max_message_bytes",
        "middleware",
        "retry_rules",
        "run",
        "terms",
        "timeout",
        "timeouts",
        "untimed",
    )

    def __init__(self, task: AnyTask, shared: SharedValues | None = None) -> None:
        self.check: Callable[..., object] = inspect.signature(task).bind
        self._keeping: RegisteredTask | None = None
        self._returned = task.returned
        self.encode: Callable[[Any], bytes] | None = None
        self.context_type: Callable[..., Any] | None = task.context_type
        func = task.func
        if task.dependencies is not None:
            # Most tasks have no dependencies.
            from .injection import Injection
            from .shared_values import SharedValues

            injection = Injection(task, SharedValues() if shared is None else shared)
            func, self.context_type = injection.function(), injection.context_type
        self.func: Callable[..., Any] = _converting(task, func, self.context_type is not None)
        self.untimed = self.func
        _warn_of_names(task)
        self.is_async: bool = task.is_async
        self.max_message_bytes = task.max_message_bytes
        self.terms = task.terms
        self.retry_rules = RetryRules(task.terms)
        self.timeout = task.terms.timeout
        self.timeouts: Watch | None = None
        self.middleware: Sequence[Middleware] = ()
        self.run: Run | None = wrapped_run(self, ())

    def prepare(self, timeouts: Watch, middleware: Sequence[Middleware] = ()) -> None:
        """Watches the attempts if they have a timeout, and puts the middleware around
        them. Call it before the first attempt."""
        if self.timeouts is not None:
            return  # several queues serve this task
        self.timeouts, self.middleware = timeouts, middleware
        if self.timeout is not None and not self.is_async:
            self.func = timeouts.guard(self.func, self.timeout)
        if FREE_THREADED and not self.is_async:
            self.func = CancellableCall(self.func)
        self.run = wrapped_run(self, middleware)

    def keeping(self) -> RegisteredTask:
        """The task that runs a message whose result is kept."""
        if self._keeping is None:
            keeping = copy(self)
            keeping.encode = self._returned.encode
            keeping.run = wrapped_run(keeping, self.middleware)
            self._keeping = keeping
        return self._keeping

    def with_timeout(self, seconds: float, wins: bool = False) -> RegisteredTask:
        """The task that runs a message with its own timeout.

        Args:
            wins: whether the caller gave it to this call. A timeout that the client declares
                for the task does not win over the one of the worker's code, because that was
                written for the code that runs.
        """
        if self.timeouts is None or (self.timeout is not None and not wins):
            return self
        limited = copy(self)
        limited.func = self.untimed
        limited.timeout, limited.timeouts = seconds, None
        limited.prepare(self.timeouts, self.middleware)
        return limited

    def why_struck(
        self, name: str, records: list[bytes], args: list[Any], kwargs: dict[str, Any] | None
    ) -> str | None:
        """Returns why an operator has stopped a call before it begins; None if it may begin.

        Args:
            records: the strikes of the queue, as Redis has them.
        """
        # Hardly ever a worker needs it.
        from fluxqueue_core.strikes import why_struck

        signature: inspect.Signature = self.check.__self__  # type: ignore[attr-defined]
        return why_struck(records, name, args, kwargs or {}, list(signature.parameters))


@dataclass(frozen=True)
class Tasks:
    """The tasks that a worker can run, each of them once per record.

    Many queues share one table of the tasks of other queues: a table for each queue would
    hold tasks times queues entries.

    Attributes:
        declared: per served queue, the tasks that it declares, by name.
        anywhere: the tasks that every queue serves, by name, unless it declares another
            one of that name.
        periodic: the periodic tasks of the served queues.
        limits: the limits of the tasks of the served queues.
        lifespans: those of the `FluxQueue` objects that declare tasks of the served queues.
        shared: the values that attempts share; None if no task can have one.
    """

    declared: dict[str, dict[str, RegisteredTask]]
    anywhere: dict[str, RegisteredTask]
    periodic: Sequence[PeriodicTask] = ()
    limits: Sequence[QueueLimit] = ()
    lifespans: Sequence[Provider] = ()
    shared: SharedValues | None = None

    def __iter__(self) -> Iterator[RegisteredTask]:
        """Iterates over all tasks, each of them once."""
        tables = (*self.declared.values(), self.anywhere)
        return iter({id(task): task for table in tables for task in table.values()}.values())


def for_consumer(table: Mapping[str, RegisteredTask]) -> dict[str, tuple[bool, RegisteredTask]]:
    """Returns a table of tasks as the consumer takes it: each with whether it is async."""
    return {name: (task.is_async, task) for name, task in table.items()}


def _converting(task: AnyTask, func: Callable[..., Any], has_context: bool) -> Callable[..., Any]:
    """Returns a function that makes the arguments of `func` what the annotations say: all but a
    context, the first. Validators of the application run in it, so a timeout counts there too."""
    conversion = task.conversion()
    if conversion is None:
        return func
    convert, skipped = conversion.decode, int(has_context)

    @own_frame
    def converted(*args: Any, **kwargs: Any) -> Any:
        values, named = convert(args[skipped:], kwargs)
        return func(*args[:skipped], *values, **named)

    return converted


def _warn_of_names(task: AnyTask) -> None:
    unresolved = {} if task.types is None else task.types.unresolved
    for parameter, error in unresolved.items():
        warnings.warn(
            f"task {task.task_name!r} (queue {task.queue!r}): the annotation of its parameter "
            f"{parameter!r} can't be resolved ({error}), so its values arrive in their JSON form; "
            f"import the name at run time, outside `if TYPE_CHECKING`",
            FluxQueueWarning,
            stacklevel=2,
        )
