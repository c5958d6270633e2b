"""Takes the calls of the tasks of a test in place of Redis.

Its messages are those that the core's producer makes, so every check of a call applies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, cast

from fluxqueue.broker import Broker
from fluxqueue.bulk import CHUNK
from fluxqueue.enqueue_interface import CallLimit, CallLock
from fluxqueue_core import Producer, Route, Settings
from fluxqueue_core.future import EnqueueFuture

from .record import Place, TaskRecord

if TYPE_CHECKING:
    from .simulation import Simulation

PerCall = Callable[[bytes | None, str | None], tuple[bytes | None, str | None]]
Verdict = tuple[str, str | None]


class SimulatedProducer(Producer):
    """The producer of one `FluxQueue` object in a test."""

    def __new__(cls, settings: Settings, broker: Broker, simulation: Simulation) -> Self:
        return cast("Self", super().__new__(cls, settings))

    def __init__(self, settings: Settings, broker: Broker, simulation: Simulation) -> None:
        self._settings = settings
        self._broker = broker
        self._simulation = simulation

    def enqueue(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
        lock: CallLock | None = None,
        limit: CallLimit | None = None,
    ) -> str | None:
        __tracebackhide__ = True
        added = self._add(route, args, kwargs, headers, task_id, lock, limit)
        if isinstance(added, str):
            return added
        self._simulation.called([added])
        return None

    def enqueue_async(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
        result: Any = None,
        lock: CallLock | None = None,
        limit: CallLimit | None = None,
    ) -> EnqueueFuture:
        loop = asyncio.get_running_loop()
        added = self._add(route, args, kwargs, headers, task_id, lock, limit)
        future = EnqueueFuture(loop=loop)
        roots = [] if isinstance(added, str) else [added]
        if result is not None and lock is not None:
            try:
                result = result(added if isinstance(added, str) else None)
            except Exception as error:  # noqa: BLE001 - the caller of the task gets it
                future.set_exception(error)
                return future
        self._simulation.called_async(roots, future, result)
        return future

    def enqueue_many(
        self,
        route: Route,
        calls: Iterable[Any],
        check: Callable[..., object],
        per_call: PerCall | None = None,
        *,
        resolve: Callable[[Any], Any] | None = None,
        headers: bytes | None = None,
        spread: tuple[int, int, int] | None = None,
        verdicts: bool = False,
    ) -> Any:
        __tracebackhide__ = True
        sent: list[Verdict] = []
        roots: list[TaskRecord] = []
        iterator = iter(calls)
        try:
            while chunk := self._read(
                route, iterator, check, per_call, resolve, headers, len(sent)
            ):
                self._add_chunk(chunk, spread, sent, roots)
        except Exception as error:
            error.enqueued = len(sent)  # type: ignore[attr-defined]
            raise
        self._simulation.called(roots)
        return sent if verdicts else len(sent)

    def enqueue_chunk_async(
        self,
        route: Route,
        calls: Sequence[Any],
        check: Callable[..., object],
        per_call: PerCall | None = None,
        *,
        resolve: Callable[[Any], Any] | None = None,
        headers: bytes | None = None,
        spread: tuple[int, int, int] | None = None,
        verdicts: bool = False,
    ) -> asyncio.Future[Any]:
        future = EnqueueFuture(loop=asyncio.get_running_loop())
        sent: list[Verdict] = []
        roots: list[TaskRecord] = []
        chunk = self._read(route, iter(calls), check, per_call, resolve, headers, 0)
        self._add_chunk(chunk, spread, sent, roots)
        self._simulation.called_async(roots, future, sent if verdicts else None)
        return future

    def cancel(self, queue: str, task_id: str) -> str:
        return self._simulation.cancel(self._place(queue), task_id)

    def schedule(self, queue: str, arguments: Sequence[bytes]) -> list[str]:
        return self._simulation.periodic.schedule(self._broker, self._place(queue), arguments)

    def close(self) -> None:
        """There is no connection."""

    def _place(self, queue: str) -> Place:
        return Place(self._settings.url, self._settings.namespace, queue)

    def _add(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None,
        task_id: str | None,
        lock: CallLock | None,
        limit: CallLimit | None,
        later: float = 0.0,
    ) -> TaskRecord | str:
        message = self.message(route, args, kwargs, headers, task_id, lock, limit)
        return self._simulation.add(self._broker, route, message, lock, later)

    def _read(
        self,
        route: Route,
        calls: Iterable[Any],
        check: Callable[..., object],
        per_call: PerCall | None,
        resolve: Callable[[Any], Any] | None,
        headers: bytes | None,
        first: int,
    ) -> list[tuple[Route, bytes, CallLock | None]]:
        """Returns the next chunk as messages. The error of a call has its `call_index`."""
        chunk: list[tuple[Route, bytes, CallLock | None]] = []
        for index, call in enumerate(islice(calls, CHUNK), first):
            try:
                chunk.append(self._read_call(route, call, check, per_call, resolve, headers))
            except Exception as error:
                error.call_index = index  # type: ignore[attr-defined]
                raise
        return chunk

    def _read_call(
        self,
        route: Route,
        call: Any,
        check: Callable[..., object],
        per_call: PerCall | None,
        resolve: Callable[[Any], Any] | None,
        headers: bytes | None,
    ) -> tuple[Route, bytes, CallLock | None]:
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        task_id = lock = limit = None
        if isinstance(call, tuple):
            args = tuple(call)
            check(*args)
        elif isinstance(call, Mapping):
            kwargs = dict(call)
            check(**kwargs)
        elif resolve is not None:
            route, args, kwargs, headers, task_id, lock, limit = resolve(call)
        if per_call is not None:
            headers, task_id = per_call(headers, task_id)
        return route, self.message(route, args, kwargs, headers, task_id, lock, limit), lock

    def _add_chunk(
        self,
        chunk: list[tuple[Route, bytes, CallLock | None]],
        spread: tuple[int, int, int] | None,
        sent: list[Verdict],
        roots: list[TaskRecord],
    ) -> None:
        for route, message, lock in chunk:
            later = 0.0
            if spread is not None:
                over, calls, first = spread
                later = over * (first + len(sent)) // max(calls, 1) / 1000
            added = self._simulation.add(self._broker, route, message, lock, later)
            if isinstance(added, str):
                sent.append((_id_of(message), added))
            else:
                roots.append(added)
                sent.append((added.id, None))


def _id_of(message: bytes) -> str:
    # Rule of the protocol: every message begins so.
    return message[13:49].decode()
