"""`FluxQueue`: the object with which an application declares its tasks."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, overload

# The core would load it in the first call. There Ctrl+C could interrupt it, and
# orjson 3.13 crashes if it is interrupted while it loads.
import fluxqueue_core.json_codec  # noqa: F401
from fluxqueue_core import Route, Settings, check_queue_name
from fluxqueue_core.task_ids import read_task_id

from .broker import NOT_GIVEN, Broker
from .declared_limits import DeclaredLimits
from .declaring import check_free, check_sent, check_task_and_queue, function_of
from .decorators import ContextTaskDecorator, TaskDecorator
from .functions import check_function
from .handle import FoundTask, TaskHandle
from .middleware import Middleware
from .middleware_checks import check_middleware
from .options import TaskOptions, Terms, read_terms, shows_options
from .providers import DeclaresProviders
from .scheduling import AnyTaskType, ScheduleVerdict, Scheduling
from .task import AnyTask, AsyncTask, Task
from .task_kinds import context_of_task, kind_of_task, with_types

if TYPE_CHECKING:
    from uuid import UUID

    from .call_options import CallOptions
    from .context import Context
    from .limits import Limit
    from .periodic import PeriodicOptions
    from .task_call import TaskCall

P = ParamSpec("P")
R = TypeVar("R")


class FluxQueue(DeclaresProviders):
    """A client that enqueues tasks into Redis.

    Creating it and decorating functions opens no connection. Any number of
    threads, event loops and forked processes may use it.

    Args:
        redis_url: `redis://`, `rediss://` (TLS) or `unix://`, with user,
            password and database; `redis://:password@host:6379/0`. For Sentinels
            `redis+sentinel://host1,host2/service/0`, for a cluster
            `redis+cluster://host1,host2`. If you give none, or None, it is the
            variable FLUXQUEUE_REDIS_URL, or the default if that is not set. In a
            worker the worker's Redis replaces it.
        connect_timeout: seconds for one attempt to connect (2; also the URL's
            `?connect_timeout=`, or FLUXQUEUE_CONNECT_TIMEOUT).
        timeout: seconds for one call, all attempts together (5; also
            `?timeout=`, or FLUXQUEUE_TIMEOUT).
        max_message_bytes: bytes that one task may have (8 MiB; also
            `?max_message_bytes=`, or FLUXQUEUE_MAX_MESSAGE_BYTES). A worker that
            runs tasks of this object has at least this limit too.
        wait_replicas: replicas that must have a task before the call returns
            (0; also `?wait_replicas=`, or FLUXQUEUE_WAIT_REPLICAS). If they
            do not have it in time, the call raises EnqueueUncertain.
        wait_aof: whether it must be on disk as well, in the append-only file
            of the master and of these replicas (False; also `?wait_aof=1`, or
            FLUXQUEUE_WAIT_AOF). Needs Redis 7.2.
        wait_timeout: seconds that replicas and disk may take (1; also `?wait_timeout=`, or
            FLUXQUEUE_WAIT_TIMEOUT); less than `timeout`.
        namespace: keeps the queues of this application apart from those of others in the
            same Redis (FLUXQUEUE_NAMESPACE): 1 to 64 ASCII letters, digits and . _ -.
            Worker and scheduler need the same. None means the variable; '' the default
            namespace, whatever the variable says.
        middleware: instances of `fluxqueue.Middleware` around the attempts and the calls of
            all tasks, the outermost first.

    Raises:
        ConfigurationError: the URL or a setting is not valid.
        TypeError: the middleware is not valid.
    """

    def __init__(
        self,
        redis_url: str | None = NOT_GIVEN,
        *,
        connect_timeout: float | None = None,
        timeout: float | None = None,
        max_message_bytes: int | None = None,
        wait_replicas: int | None = None,
        wait_aof: bool | None = None,
        wait_timeout: float | None = None,
        namespace: str | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        check_middleware("middleware", middleware)
        self._middleware = tuple(middleware)
        super().__init__()
        self.broker = Broker(
            redis_url,
            connect_timeout=connect_timeout,
            timeout=timeout,
            max_message_bytes=max_message_bytes,
            wait_replicas=wait_replicas,
            wait_aof=wait_aof,
            wait_timeout=wait_timeout,
            namespace=namespace,
        )
        self._tasks: dict[tuple[str, str], AnyTask] = {}
        self._scheduling = Scheduling(self.broker)
        self._limits = DeclaredLimits()

    @property
    def settings(self) -> Settings:
        """Where Redis is, and how long calls wait for it."""
        return self.broker.settings

    @property
    def tasks(self) -> Mapping[tuple[str, str], AnyTask]:
        """The tasks declared so far, by (queue, name); a live, read-only view."""
        return MappingProxyType(self._tasks)

    @shows_options
    def task(
        self,
        name: str | None = None,
        queue: str = "default",
        max_retries: int = 3,
        **options: Unpack[TaskOptions],
    ) -> TaskDecorator:
        """Returns a decorator: calling the function then enqueues a task.

        Args:
            name: the task's name; the function's name by default. Give one, and you
                can rename the function while tasks wait.
            queue: the queue for its tasks.
            max_retries: how many times a failed task runs again before it is dead;
                0 means one attempt.
            options: see `fluxqueue.options.TaskOptions`.

        Raises:
            TypeError: an option is unknown or has the wrong type; from the
                decorator, if it does not decorate a plain `def` or `async def`, or
                if a parameter's annotation is a type that a worker can't make.
            ConfigurationError: a value is out of range, a name is not valid, or
                another function has this name in this queue.
        """
        return self._decorator("task", name, queue, max_retries, options)

    @shows_options
    def task_with_context(
        self,
        name: str | None = None,
        queue: str = "default",
        max_retries: int = 3,
        **options: Unpack[TaskOptions],
    ) -> ContextTaskDecorator:
        """As `task`, for a function whose first parameter is annotated
        `Context` or a subclass. The worker passes it; callers do not.

        Raises:
            TypeError: as `task`, and from the decorator if there is no such parameter.
        """
        return self._decorator("task_with_context", name, queue, max_retries, options)

    @overload
    def declare(  # type: ignore[overload-overlap]  # an `async def` is the narrower case
        self,
        name: str,
        *,
        signature: Callable[P, Coroutine[Any, Any, R]],
        queue: str = "default",
        max_retries: int = 3,
        **options: Unpack[TaskOptions],
    ) -> AsyncTask[P, R]: ...
    @overload
    def declare(
        self,
        name: str,
        *,
        signature: Callable[P, R],
        queue: str = "default",
        max_retries: int = 3,
        **options: Unpack[TaskOptions],
    ) -> Task[P, R]: ...
    @overload
    def declare(
        self,
        name: str,
        *,
        signature: inspect.Signature | None = None,
        queue: str = "default",
        max_retries: int = 3,
        **options: Unpack[TaskOptions],
    ) -> Task[..., Any]: ...
    def declare(
        self,
        name: str,
        *,
        signature: Callable[..., Any] | inspect.Signature | None = None,
        queue: str = "default",
        max_retries: int = 3,
        **options: Unpack[TaskOptions],
    ) -> AnyTask:
        """Returns a task whose code this process does not have: a worker has it, under
        this name. It is called as other tasks are, and a worker here does not run it.

        Args:
            name: the task's name.
            signature: the parameters of a call: a `def` or `async def` (its body is not
                used), an `inspect.Signature`, or None for every call. Annotated
                arguments are converted as those of other tasks.
            queue: the queue for its tasks.
            max_retries: as for `task`; messages carry it.
            options: those of `task` that messages carry, such as `timeout`.

        Raises:
            TypeError: an option or the signature has the wrong type.
            ConfigurationError: a value is out of range, or a name is not valid.
        """
        check_task_and_queue(name, queue, "declare")
        check_sent(options)
        terms = read_terms("declare", max_retries, options, self._middleware)
        frame = sys._getframe(1)
        func = function_of(name, signature, frame.f_globals.get("__name__", ""))
        local_names = {**frame.f_globals, **frame.f_locals}
        task = self._made(func, name, queue, terms, None, local_names)
        task.has_code = False
        return task

    def limit(
        self,
        name: str,
        *,
        rate: str | None = None,
        concurrency: int | None = None,
        burst: int | None = None,
    ) -> Limit:
        """Returns a limit for the option `limit` of tasks; the tasks of a queue share it.
        `rate`, `concurrency` and `burst` are as the options of a task; see docs/limits.md.

        Args:
            name: its name, by the same rules as that of a task.

        Raises:
            TypeError: a value has the wrong type.
            ConfigurationError: a value is out of range, or the limit limits nothing.
        """
        from .limits import Limit

        return Limit(name, rate, concurrency, burst)

    def handle(self, task_id: str | UUID, *, queue: str = "default") -> TaskHandle[Any]:
        """Returns the handle of a task that this or another process has enqueued. It does
        not ask Redis, so the task need not exist.

        Args:
            task_id: the task's id, or the text that a caller gave as its `task_id`.
            queue: the queue of the task.

        Raises:
            TypeError: an argument has the wrong type.
            ConfigurationError: the id or the name of the queue is not valid.
        """
        if not isinstance(queue, str):
            raise TypeError(f"the queue must be a str, not {type(queue).__name__}")
        check_queue_name(queue)
        return FoundTask(read_task_id(task_id), queue, self.broker)

    def periodic(
        self,
        cron: str | None = None,
        *,
        id: str | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        call_options: CallOptions | None = None,
        **options: Unpack[PeriodicOptions],
    ) -> Callable[[AnyTaskType], AnyTaskType]:
        """Returns a decorator, to write above `task()`: schedulers then enqueue the task at
        these moments, once a worker has loaded it. A task may have several, each with its id.

        Args:
            cron: minute, hour, day of the month, month, day of the week; see docs/periodic.md.
            id: its id in the queue; the task's name by default. Keep it when the times change.
            args: the positional arguments of each run; `kwargs` has those by keyword.
            call_options: as `Task.options` takes them.
            options: see `fluxqueue.periodic.PeriodicOptions`.

        Raises:
            TypeError: a value has the wrong type; from the decorator, if there is no task.
            ConfigurationError: the expression can't be read or has no moment, or a value is out
                of range; from the decorator, if the id is taken.
        """
        return self._scheduling.decorator(cron, id, args, kwargs, call_options, options)

    def schedule(
        self,
        id: str,
        call: TaskCall[Any],
        cron: str | None = None,
        **options: Unpack[PeriodicOptions],
    ) -> ScheduleVerdict:
        """Adds a periodic task, or changes the one with this id. Blocks. `cron` and `options`
        are as for `periodic`.

        Args:
            id: its id in the queue of the call: 1 to 128 printable characters.
            call: from `task.call(...)` or `task.options(...).call(...)`.

        Raises:
            TypeError, ConfigurationError: as `periodic`; or code declares this id.
            BrokerError, BrokerUnavailable: Redis refused, or was not reachable in time. A second
                call does no harm.
        """
        return self._scheduling.schedule(id, call, cron, options)

    async def schedule_async(
        self,
        id: str,
        call: TaskCall[Any],
        cron: str | None = None,
        **options: Unpack[PeriodicOptions],
    ) -> ScheduleVerdict:
        """As `schedule`, in a thread, so that it does not block the event loop."""
        import asyncio  # only needed here

        return await asyncio.to_thread(self.schedule, id, call, cron, **options)

    def unschedule(self, id: str, *, queue: str = "default") -> bool:
        """Removes a periodic task that `schedule` has added; returns whether it was there."""
        return self._scheduling.unschedule(id, queue)

    async def unschedule_async(self, id: str, *, queue: str = "default") -> bool:
        """As `unschedule`, in a thread, so that it does not block the event loop."""
        import asyncio  # only needed here

        return await asyncio.to_thread(self.unschedule, id, queue=queue)

    def close(self) -> None:
        """Closes the connections of this thread and of closed event loops.
        You need not call it at exit; a later call connects again."""
        self.broker.producer.close()

    def _decorator(
        self, called: str, name: str | None, queue: str, max_retries: int, options: TaskOptions
    ) -> Callable[[Callable[..., Any]], Any]:
        check_task_and_queue(name, queue, called)
        terms = read_terms(called, max_retries, options, self._middleware)

        def decorate(func: Callable[..., Any]) -> AnyTask:
            check_function(func, called)
            # An annotation may name a class that is local to the function around it.
            frame = sys._getframe(1)
            local_names = {} if frame.f_locals is frame.f_globals else frame.f_locals
            context = context_of_task(called, func, local_names)
            return self._declare(func, name, queue, terms, context, local_names)

        return decorate

    def _declare(
        self,
        func: Callable[..., Any],
        name: str | None,
        queue: str,
        terms: Terms,
        context_type: type[Context] | None,
        local_names: Mapping[str, Any],
    ) -> AnyTask:
        if name is None and func.__name__ == "<lambda>":
            raise TypeError("a lambda has no name for its task; give one with name=...")
        name = func.__name__ if name is None else name
        task = self._made(func, name, queue, terms, context_type, local_names)
        key = (task.queue, task.task_name)
        check_free(task, self._tasks.get(key))
        self._tasks[key] = task
        return task

    def _made(
        self,
        func: Callable[..., Any],
        name: str,
        queue: str,
        terms: Terms,
        context_type: type[Context] | None,
        local_names: Mapping[str, Any],
    ) -> AnyTask:
        route = Route(queue, name, namespace=self.settings.namespace, **terms.of_route(name))
        kind = kind_of_task(func, terms)
        task: AnyTask = kind(func, self.broker.producer, route, terms, context_type)
        self._read_parameters(task, local_names)
        self._limits.add(queue, name, terms)
        with_types(task, local_names)
        self.broker.add(task)
        return task

    def __repr__(self) -> str:
        namespace = f", namespace={self.settings.namespace!r}" if self.settings.namespace else ""
        return f"FluxQueue({self.settings.display_url!r}{namespace})"
