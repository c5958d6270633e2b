"""The objects that decorated functions become: calling one enqueues it."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, Unpack

from fluxqueue_core import Producer, Route, new_task_id

from . import blocking, peer_names
from .enqueueing import Enqueueing
from .explained_calls import ExplainedCalls, warns_if_each_not_awaited, warns_if_not_awaited
from .handle import TaskHandle
from .middleware_checks import wraps_calls
from .options import Terms
from .return_value import ReturnValue
from .signature import call_check
from .task_properties import TaskProperties
from .telemetry import API, modules
from .wrappers import call_signature

if TYPE_CHECKING:
    from datetime import timedelta

    from .broker import Broker
    from .bulk import BulkCalls
    from .call_options import CallOptions
    from .context import Context
    from .conversion import Conversion
    from .parameter_types import ParameterTypes
    from .periodic import PeriodicTask
    from .providers import Providers
    from .task_call import Call, TaskCall
    from .task_dependencies import TaskDependencies
    from .with_options import AsyncTaskWithOptions, TaskWithOptions

P = ParamSpec("P")
R = TypeVar("R")


class BaseTask(ExplainedCalls, TaskProperties[P, R]):
    """The common part of `Task` and `AsyncTask`.

    Attributes:
        func: the undecorated function, for unit tests and for the worker.
        terms: how the task runs, as the decorator's arguments say.
        context_type: the class of its context; None for a task without one.
        broker: where its calls go; shared with its `FluxQueue`.
        types: the annotations of its parameters; None if all are plain JSON.
        returned: encodes and decodes what it returns.
        periodic: its declarations by `FluxQueue.periodic`.
        has_code: False for a task that `FluxQueue.declare` has declared.
        dependencies: what the worker passes besides the arguments of a call; None: nothing.
        providers: the lifespans of its `FluxQueue`.
    """

    # Every call reads these, and slots are faster than attributes in `__dict__`.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_check",
        "_enqueue",
        "_enqueueing",
        "_keeps",
        "_queue",
        "_route",
    )

    is_async: bool
    # Its class if arguments are converted; `typed_task` sets it.
    typed_class: ClassVar[type[Any]]
    func: Callable[..., Any]
    broker: Broker
    types: ParameterTypes | None = None
    returned: ReturnValue
    periodic: tuple[PeriodicTask, ...] = ()
    has_code: bool = True
    dependencies: TaskDependencies | None = None
    providers: Providers

    def __init__(
        self,
        func: Callable[..., Any],
        producer: Producer,
        route: Route,
        terms: Terms,
        context_type: type[Context] | None = None,
    ) -> None:
        functools.update_wrapper(self, func)  # type: ignore[arg-type]  # an instance will do
        self.func = func
        self.terms = terms
        self.context_type = context_type
        signature = call_signature(func)
        if context_type is not None:  # the worker passes the context, not the caller
            first, *rest = signature.parameters.values()
            if first.kind is not first.VAR_POSITIONAL:
                signature = signature.replace(parameters=rest)
        self.__signature__ = signature
        self._check = call_check(signature, func)
        self.returned = ReturnValue(func, signature.return_annotation, f"task {route.name!r}")
        self._route = route
        self._queue = route.queue
        self._keeps = terms.result_ttl is not None
        # For calls with options; `with_options` fills them.
        self._routes: dict[Any, Route] = {}
        self._views: dict[Any, Any] = {}
        self._attach(producer)

    def send_by(self, producer: Producer) -> None:
        """Sends the later calls by this producer, in its namespace. `Broker` calls it."""
        name, terms = self.task_name, self.terms.of_route(self.task_name)
        self._route = Route(self.queue, name, namespace=producer.namespace, **terms)
        self._attach(producer)

    def _attach(self, producer: Producer) -> None:
        self._producer = producer
        around = None
        if wraps_calls(self.terms.middleware):
            from .around_enqueue import Around  # only for middleware around calls

            around = Around(self.terms.middleware, self._explain)
        self._enqueueing = Enqueueing(producer, around)
        self._enqueue = self._enqueueing.plain.enqueue

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """Enqueues the task and returns its handle. Blocks until Redis has answered.

        Any thread may call it, whether the function is a `def` or an `async def`. In a
        thread whose event loop runs, it warns: await `enqueue_async` there.

        Raises:
            TypeError: the call does not fit the function's signature, or it is awaited.
            ArgumentTypeError, ArgumentValueError: JSON can't carry an argument.
            MessageTooLarge, BrokerError, BrokerUnavailable: nothing was enqueued.
            EnqueueUncertain: the connection broke after the task had been written.
        """
        self._check(*args, **kwargs)
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_async")
        return self._send(args, kwargs)

    def enqueue_async(
        self, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, TaskHandle[R]]:
        """Enqueues the task on the running event loop; awaiting it gives the task's handle.

        It behaves as the call of an `AsyncTask`, whether the function is a `def` or an
        `async def`. It raises the errors of `enqueue`: those of the arguments at once,
        those of Redis when it is awaited.
        """
        self._check(*args, **kwargs)
        handle = self._handle()
        enqueueing = self._enqueueing
        way = enqueueing.plain if API not in modules else enqueueing.way()
        try:
            return way.enqueue_async(self._route, args, kwargs, None, handle.id, handle)
        except (TypeError, ValueError) as error:
            raise self._explain(error, args, kwargs) from None
        except RuntimeError:
            if blocking.running_loop() is not None:
                raise
        return self._enqueued(self._send(args, kwargs))

    def enqueue_many(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> int:
        """Enqueues one task per call, in chunks, and returns their number.

        Args:
            calls: each is a tuple of positional arguments, a mapping of keyword
                arguments, or a `TaskCall`. This method reads the iterable while it sends
                the calls.
            spread: seconds, or a timedelta, over which the tasks begin at even intervals,
                the first one at once. The iterable is read into a list before.

        Raises:
            ArgumentTypeError, ArgumentValueError, MessageTooLarge: a call can't
                be sent.
            BrokerError, BrokerUnavailable, EnqueueUncertain: Redis refused, was
                unreachable, or the connection broke.

            Every exception has the attribute `enqueued`: the number of tasks that are in
            Redis despite the error. Its text has the number too.
        """
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_many_async")
        return self._bulk().send(calls, spread)

    @warns_if_not_awaited
    async def enqueue_many_async(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> int:
        """As `enqueue_many`, on the running event loop: in chunks of 1,000 calls, with at
        most two chunks in flight."""
        return await self._bulk().send_async(calls, spread)

    def enqueue_each(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> list[TaskHandle[R]]:
        """Enqueues one task per call as `enqueue_many`, and returns the handle of each, in
        their order. Of a unique task it may be that of another call: `created` is False then.

        Raises:
            As `enqueue_many`.
        """
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_each_async")
        return self._bulk().send_each(calls, spread)

    @warns_if_each_not_awaited
    async def enqueue_each_async(
        self, calls: Iterable[Call], *, spread: float | timedelta | None = None
    ) -> list[TaskHandle[R]]:
        """As `enqueue_each`, on the running event loop."""
        return await self._bulk().send_each_async(calls, spread)

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskCall[R]:
        """Returns one call for `enqueue_many`. Nothing is sent.

        Raises:
            TypeError: the call does not fit the function's signature.
            ArgumentTypeError, ArgumentValueError: an argument does not fit its annotation.
        """
        return _view_classes()[0](self, {}).call(*args, **kwargs)

    def _bulk(self) -> BulkCalls:
        from .bulk import BulkCalls  # most programs enqueue tasks one by one

        return BulkCalls(self, self._route)

    def _send(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskHandle[R]:
        """Enqueues a call from this thread, and returns the task's handle."""
        handle = self._handle()
        try:
            enqueue = self._enqueue if API not in modules else self._enqueueing.way().enqueue
            enqueue(self._route, args, kwargs, None, handle.id)
        except (TypeError, ValueError) as error:
            raise self._explain(error, args, kwargs) from None
        return handle

    def _handle(self) -> TaskHandle[R]:
        """The handle of a new task."""
        return TaskHandle(new_task_id(), self._queue, self.broker, self.returned, self._keeps)

    @property
    def _signature(self) -> inspect.Signature:
        return self.__signature__

    def conversion(self) -> Conversion | None:
        """Returns the conversion of the arguments, for the worker. None: they are plain.

        Raises:
            TypeError: an annotation can't be converted.
        """
        return None

    def __reduce__(self) -> str:
        return self.__qualname__

    def __repr__(self) -> str:
        kind = "AsyncTask" if self.is_async else "Task"
        return f"<{kind} {self.task_name!r} of queue {self.queue!r}>"


for _name, _call in peer_names.CALLS.items():
    setattr(BaseTask, _name, peer_names.MissingCall(_name, _call))


class Task(BaseTask[P, R]):
    """A decorated `def`. Calling it enqueues the task and returns None.

    The call blocks until Redis has answered. In a thread whose event loop runs, it warns:
    await `enqueue_async` there. If the call itself is awaited, it enqueues nothing.

    Arguments are sent as JSON. str, int (64 bits), float, bool, None, list and dict
    arrive as they were sent. Others arrive as the type that annotates their parameter:
    datetime, UUID, Decimal, Enum, dataclass and more, see docs/calling.md. Without an
    annotation they arrive in their JSON form.

    Raises:
        TypeError: the call does not fit the function's signature, or it is awaited.
        ArgumentTypeError, ArgumentValueError: JSON can't carry an argument.
        MessageTooLarge, BrokerError, BrokerUnavailable: nothing was enqueued.
        EnqueueUncertain: the connection broke after the task had been written.
    """

    __slots__ = ()

    is_async = False
    func: Callable[..., R]

    def options(self, **options: Unpack[CallOptions]) -> TaskWithOptions[P, R]:
        """Returns the task with options for its calls: `task.options(delay=60).enqueue(1)`.

        Args:
            options: see `fluxqueue.call_options.CallOptions`.

        Raises:
            TypeError: an option is unknown, or a value has the wrong type.
            ConfigurationError: a value is out of range, or both `delay` and `eta` are given.
        """
        return _view_classes()[0].of(self, options)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self._check(*args, **kwargs)
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_async")
        try:
            enqueue = self._enqueue if API not in modules else self._enqueueing.way().enqueue
            enqueue(self._route, args, kwargs)
        except (TypeError, ValueError) as error:
            raise self._explain(error, args, kwargs) from None


class AsyncTask(BaseTask[P, R]):
    """A decorated `async def`. Awaiting its call enqueues the task.

    It raises the same errors as `Task`: the call raises those of the arguments, `await`
    those of Redis. The call writes at the end of the loop's turn, or when the loop's
    connection is up. When `await` returns, Redis has the task. A call that is cancelled
    before the write is not sent. Always await a call: only `await` raises its errors. If
    the loop ends before the answer to a call that was not awaited, the call warns;
    `asyncio.run` still sends it.

    `gather`, `wait_for`, `shield` and task groups accept the call as it is. `asyncio.wait`
    accepts no coroutines, and the call counts as one: pass `asyncio.create_task(send(1))`.
    `ensure_future` does not help there, because it returns its argument unchanged.

    If no event loop runs in the thread, the call enqueues as `enqueue` does: it blocks, and
    raises all errors. It returns a coroutine that ends at once, for `asyncio.run(send(1))`,
    and that warns if it is not awaited.
    """

    __slots__ = ("_enqueue_async",)

    is_async = True
    func: Callable[..., Coroutine[Any, Any, R]]

    def __init__(
        self,
        func: Callable[..., Coroutine[Any, Any, R]],
        producer: Producer,
        route: Route,
        terms: Terms,
        context_type: type[Context] | None = None,
    ) -> None:
        super().__init__(func, producer, route, terms, context_type)
        _mark_as_coroutine_function(self)

    def _attach(self, producer: Producer) -> None:
        super()._attach(producer)
        self._enqueue_async = self._enqueueing.plain.enqueue_async

    def options(self, **options: Unpack[CallOptions]) -> AsyncTaskWithOptions[P, R]:
        """As `Task.options`."""
        return _view_classes()[1].of(self, options)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, None]:
        self._check(*args, **kwargs)
        try:
            if API not in modules:
                return self._enqueue_async(self._route, args, kwargs)
            return self._enqueueing.way().enqueue_async(self._route, args, kwargs)
        except (TypeError, ValueError) as error:
            raise self._explain(error, args, kwargs) from None
        except RuntimeError:
            if blocking.running_loop() is not None:
                raise
        self._send(args, kwargs)
        return self._enqueued(None)


# An import statement in each call with options would cost it 0.3 µs.
@functools.cache
def _view_classes() -> tuple[type[TaskWithOptions[Any, Any]], type[AsyncTaskWithOptions[Any, Any]]]:
    from .with_options import AsyncTaskWithOptions, TaskWithOptions

    return TaskWithOptions, AsyncTaskWithOptions


AnyTask = Task[..., Any] | AsyncTask[..., Any]


def _mark_as_coroutine_function(task: AsyncTask[..., Any]) -> None:
    """Web frameworks ask `iscoroutinefunction` whether to await a call."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(task)
    else:
        # This is the only mark in Python 3.11, and only asyncio's function checks it.
        import asyncio.coroutines

        task._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
