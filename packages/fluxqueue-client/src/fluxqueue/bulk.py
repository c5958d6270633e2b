"""Sends many calls of one task in chunks, and explains the one that fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import filterfalse, islice
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from fluxqueue_core import Route

from .call_rules import CallRules, call_rules
from .enqueue_interface import Bulk
from .errors import ArgumentTypeError, ConfigurationError, FluxQueueError
from .explained_calls import raise_if_of_a_task, where
from .handle import FoundTask, TaskHandle, duplicate
from .task_call import NO_OPTIONS, TaskCall, as_json, merged, route_of
from .task_properties import TaskProperties

if TYPE_CHECKING:
    import asyncio
    from datetime import timedelta

    Span = float | timedelta

# How many calls were enqueued; or the id of each, with that of the task in its place or None.
Sent: TypeAlias = int | list[tuple[str, str | None]]

CHUNK = 1_000
IN_FLIGHT = 2

_SHAPE = "a call is a tuple of positional arguments, a mapping of keyword arguments or a TaskCall"


class BulkCalls:
    """Sends calls of one task.

    Not a dataclass: creating one takes longer than the rest of this import.

    Args:
        route: that of calls that have no other options.
        options: those of all calls, checked.
        rules: those for their locks and limits; None if they have none.

    Attributes:
        where: the name of the task in error messages.
    """

    __slots__ = ("_options", "_raises", "_resolve", "_route", "_rules", "_task", "where")

    def __init__(
        self,
        task: TaskProperties[Any, Any],
        route: Route,
        options: Mapping[str, Any] = NO_OPTIONS,
        rules: CallRules | None = None,
    ) -> None:
        self.where = where(route)
        self._task = task
        self._route = route
        self._options = options
        self._rules = rules
        self._raises = rules is not None and rules.raises
        self._resolve: Any = self._resolved

    def send(self, calls: Iterable[Any], spread: Span | None = None) -> int:
        """Returns how many calls were enqueued."""
        return self._count(self._send(calls, spread, wants_each=False))

    def send_each(self, calls: Iterable[Any], spread: Span | None = None) -> list[TaskHandle[Any]]:
        """Returns the handle of each call."""
        return self._handles(self._send(calls, spread, wants_each=True))

    def _send(self, calls: Iterable[Any], spread: Span | None, *, wants_each: bool) -> Sent:
        check_iterable(calls, self.where)
        # Keeps the call that the core took last. All of this runs in C: a Python frame per
        # call would lower the rate. (`append` returns None, so no call is left out.)
        latest: deque[Any] = deque(maxlen=1)
        bulk = self._begin()
        try:
            calls, over = self._spread(calls, spread)
            if self._rules is not None:
                calls = map(Unprepared, calls)
            watched = filterfalse(latest.append, calls)
            sent: Sent = self._task._producer.enqueue_many(
                self._route,
                watched,
                self._task._check,
                bulk.per_call,
                resolve=self._resolve,
                headers=as_json(self._options.get("headers")),
                spread=None if over is None else (*over, 0),
                verdicts=wants_each or self._locks,
            )
        except Exception as error:  # noqa: BLE001  # raised again, explained
            bulk.failed(error)
            index = getattr(error, "call_index", None)
            call = latest[0] if index is not None else None
            self._fail(error, index, call, getattr(error, "enqueued", 0))
        except BaseException as error:
            bulk.failed(error)
            raise
        bulk.end()
        return sent

    def _count(self, sent: Sent) -> int:
        """Returns how many calls were enqueued.

        Raises:
            DuplicateTask: one was not, and the option `on_conflict` is "raise".
        """
        if isinstance(sent, int):
            return sent
        present = [other for _, other in sent if other is not None]
        enqueued = len(sent) - len(present)
        if present and self._raises:
            found: TaskHandle[Any] = FoundTask(present[0], self._route.queue, self._task.broker)
            error = duplicate(f"{self.where}, {len(present)} of {len(sent)} calls", found)
            error.enqueued = enqueued
            raise error
        return enqueued

    def _handles(self, sent: Sent) -> list[TaskHandle[Any]]:
        """Returns the handle of each call, or that of the task in its place."""
        self._count(sent)
        assert not isinstance(sent, int)
        task, queue = self._task, self._route.queue
        # A call may have its own `result_ttl`.
        keeps = self._options.get("result_ttl", task.terms.result_ttl) is not None or None
        return [
            TaskHandle(own, queue, task.broker, task.returned, keeps)
            if other is None
            else FoundTask(other, queue, task.broker, task.returned, keeps)
            for own, other in sent
        ]

    @property
    def _locks(self) -> bool:
        return self._rules is not None and self._rules.lock is not None

    def _begin(self) -> Bulk:
        return self._task._enqueueing.way().bulk(self._route)

    def _spread(
        self, calls: Iterable[Any], spread: Span | None
    ) -> tuple[Iterable[Any], tuple[int, int] | None]:
        """Returns the calls, and the milliseconds and the number of calls to spread."""
        if spread is None:
            return calls, None
        from .call_options import read_span

        over, calls = read_span("spread", spread), list(calls)
        self._route = route_of(self._task, self._options, scripted=True)
        self._resolve = partial(self._resolved, scripted=True)
        return calls, (over, len(calls))

    def _resolved(self, call: object, *, scripted: bool = False) -> Any:
        """Returns what the core needs of a `TaskCall`: route, arguments, headers, id, lock and
        limit."""
        return self.resolved_with_options(call, scripted=scripted)[0]

    def resolved_with_options(
        self, call: object, *, scripted: bool = False
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Returns what `_resolved` returns, and the options of the call."""
        if isinstance(call, Unprepared):
            call = call.prepared(self._task, self._rules)
        if not isinstance(call, TaskCall):
            raise TypeError(f"it is a {type(call).__name__}; {_SHAPE}")
        if call.task is not self._task:
            raise TypeError(f"it is a call of {call.task!r}; pass calls of {self._task!r}")
        options = merged(self._options, call.options)
        route = route_of(self._task, options, scripted=scripted)
        if route.queue != self._route.queue:
            raise ConfigurationError(
                f"it is for queue {route.queue!r}, and these calls go to one queue, "
                f"{self._route.queue!r}; use task.options(queue={route.queue!r}).enqueue_many"
            )
        rules = self._rules if call.options is NO_OPTIONS else call_rules(self._task, options)
        lock = limit = None
        if rules is not None:
            self._raises |= rules.raises
            args, kwargs, has_id = call.args, call.kwargs, "task_id" in options
            lock, limit = rules.wanted(args, kwargs, call.keys, has_chosen_id=has_id)
        headers = as_json(options.get("headers"))
        task_id = options.get("task_id")
        return (route, call.args, call.kwargs, headers, task_id, lock, limit), options

    async def send_async(self, calls: Iterable[Any], spread: Span | None = None) -> int:
        """As `send`, on the running event loop."""
        return self._count(await self._send_async(calls, spread, wants_each=False))

    async def send_each_async(
        self, calls: Iterable[Any], spread: Span | None = None
    ) -> list[TaskHandle[Any]]:
        """As `send_each`, on the running event loop."""
        return self._handles(await self._send_async(calls, spread, wants_each=True))

    async def _send_async(
        self, calls: Iterable[Any], spread: Span | None, *, wants_each: bool
    ) -> Sent:
        check_iterable(calls, self.where)
        in_flight: deque[tuple[asyncio.Future[Any], int]] = deque()
        verdicts: list[tuple[str, str | None]] = []
        enqueued = before = 0
        bulk = self._begin()
        chunk: list[Any] = []
        headers = as_json(self._options.get("headers"))
        try:
            calls, over = self._spread(calls, spread)
            iterator = iter(calls)
            while chunk := list(islice(iterator, CHUNK)):
                if self._rules is not None:
                    chunk = [Unprepared(call) for call in chunk]
                # A call with options may want a lock, and then have another verdict.
                wants_verdicts = wants_each or self._locks or TaskCall in map(type, chunk)
                sent = self._task._producer.enqueue_chunk_async(
                    self._route,
                    chunk,
                    self._task._check,
                    bulk.per_call,
                    resolve=self._resolve,
                    headers=headers,
                    spread=None if over is None else (*over, before),
                    verdicts=wants_verdicts,
                )
                before += len(chunk)
                in_flight.append((sent, len(chunk)))
                if len(in_flight) == IN_FLIGHT:
                    verdicts += await in_flight[0][0] or ()
                    enqueued += in_flight.popleft()[1]
            while in_flight:
                verdicts += await in_flight[0][0] or ()
                enqueued += in_flight.popleft()[1]
        except Exception as error:  # noqa: BLE001  # raised again, explained
            bulk.failed(error)
            enqueued += await _settled(in_flight)
            index = getattr(error, "call_index", None)
            if index is None:
                self._fail(error, None, None, enqueued)
            self._fail(error, before + index, chunk[index], enqueued)
        except BaseException as error:
            bulk.failed(error)
            for future, _ in in_flight:
                future.cancel()
            raise
        bulk.end()
        if wants_each:
            return verdicts
        # Chunks without verdicts were enqueued whole.
        return enqueued - len(verdicts) + self._count(verdicts)

    def _fail(self, error: Exception, index: int | None, call: Any, enqueued: int) -> NoReturn:
        """Raises `error` with the details that are known.

        Args:
            index: the index of the `call` that can't be sent; None if no call is at
                fault.
        """
        raise_if_of_a_task(error)
        before = f"{enqueued} calls were enqueued before"
        explained: Exception = error
        if index is not None:
            explained = self._explain(error, call, f"{self.where}, call {index} ({before} it)")
        elif isinstance(error, FluxQueueError):
            error.args = (f"{error} ({before} this error)",)
        else:
            error.add_note(f"{self.where}: {before} this error")
        explained.enqueued = enqueued  # type: ignore[attr-defined]
        if explained is error:
            raise error
        raise explained from None

    def _explain(self, error: Exception, call: Any, where: str) -> Exception:
        from .arguments import explain  # not needed by calls that succeed
        from .around_enqueue import is_of_middleware

        if is_of_middleware(error):
            return error
        if isinstance(call, Unprepared):
            call = call.call
        if isinstance(error, FluxQueueError):  # the message is too large
            return type(error)(f"{where}: {str(error).removeprefix(f'{self.where}: ')}")
        if isinstance(call, tuple):
            args, kwargs = tuple(call), {}
        elif isinstance(call, Mapping):
            args, kwargs = (), dict(call)
        elif isinstance(call, TaskCall) and call.task is self._task:
            args, kwargs = call.args, call.kwargs
        else:
            return ArgumentTypeError(f"{where}: {error}")
        try:
            self._task._check(*args, **kwargs)
        except TypeError as unfit:
            return ArgumentTypeError(f"{where}: {unfit}")
        return explain(error, where, self._task.__signature__, args, kwargs)


class Unprepared:
    """A call of a unique or limited task, which needs its keys before it is prepared."""

    __slots__ = ("call",)

    def __init__(self, call: Any) -> None:
        self.call = call

    def prepared(self, task: TaskProperties[Any, Any], rules: CallRules | None) -> Any:
        """Returns a `TaskCall`, or any other object as it is.

        Raises:
            TypeError: it does not fit the function's signature.
        """
        call = self.call
        if isinstance(call, tuple):
            args, kwargs = tuple(call), {}
        elif isinstance(call, Mapping):
            args, kwargs = (), dict(call)
        else:
            return call
        task._check(*args, **kwargs)
        keys = None if rules is None else rules.keys(task, args, kwargs)
        args, kwargs = task._prepared(args, kwargs)
        return TaskCall(task, NO_OPTIONS, args, kwargs, keys)


def check_iterable(calls: object, where: str) -> None:
    """Refuses what can't be many calls."""
    if isinstance(calls, Mapping | str | bytes) or not isinstance(calls, Iterable):
        raise TypeError(
            f"{where}: pass an iterable of calls, not a {type(calls).__name__}; {_SHAPE}"
        )


async def _settled(in_flight: Sequence[tuple[asyncio.Future[Any], int]]) -> int:
    """Returns how many calls of the chunks in flight are in Redis."""
    import asyncio

    outcomes = await asyncio.gather(*(future for future, _ in in_flight), return_exceptions=True)
    sizes = (size for _, size in in_flight)
    return sum(size for size, error in zip(sizes, outcomes, strict=True) if error is None)
