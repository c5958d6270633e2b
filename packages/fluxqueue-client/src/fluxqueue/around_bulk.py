"""Sends many calls of a task that has middleware around each call: chunk by chunk, so that
only the calls of a chunk or two are open."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from .around_enqueue import Around, OpenCall
from .bulk import CHUNK, IN_FLIGHT, BulkCalls, Sent, Unprepared, check_iterable

if TYPE_CHECKING:
    import asyncio

    from .bulk import Span

Verdicts = list[tuple[str, str | None]]
Other = TypeVar("Other")


class AroundBulkCalls(BulkCalls):
    """Sends calls of one task through its middleware."""

    __slots__ = ()

    def _send(self, calls: Iterable[Any], spread: Span | None, *, wants_each: bool) -> Sent:
        check_iterable(calls, self.where)
        bulk = self._begin()
        sent = _Sent(wants_each)
        opened = self._open((), None)
        try:
            calls, over = self._spread(calls, spread)
            iterator = iter(calls)
            while chunk := list(islice(iterator, CHUNK)):
                opened = self._open(chunk, over)
                opened.prepare()
                found: Verdicts = self._task._producer.enqueue_many(
                    self._route,
                    opened.calls,
                    self._task._check,
                    bulk.per_call,
                    resolve=opened.resolve,
                    spread=None if over is None else (*over, sent.count),
                    verdicts=True,
                )
                sent.add(found)
                opened.end(found)
        except Exception as error:  # noqa: BLE001  # raised again, explained
            bulk.failed(error)
            here = getattr(error, "enqueued", 0)
            opened.failed(error, here)
            index = getattr(error, "call_index", None)
            if index is None:
                self._fail(error, None, None, sent.enqueued + here)
            self._fail(error, sent.count + index, opened.calls[index], sent.enqueued + here)
        except BaseException as error:
            bulk.failed(error)
            opened.failed(error, 0)
            raise
        bulk.end()
        return sent.result(self._raises)

    async def _send_async(
        self, calls: Iterable[Any], spread: Span | None, *, wants_each: bool
    ) -> Sent:
        check_iterable(calls, self.where)
        bulk = self._begin()
        done = _Sent(wants_each)
        in_flight: deque[tuple[asyncio.Future[Any], _OpenChunk]] = deque()
        opened = self._open((), None)
        before = 0

        async def settle() -> None:
            found = await in_flight[0][0]
            chunk = in_flight.popleft()[1]
            done.add(found)
            await chunk.end_async(found)

        try:
            calls, over = self._spread(calls, spread)
            iterator = iter(calls)
            while chunk := list(islice(iterator, CHUNK)):
                opened = self._open(chunk, over)
                await opened.prepare_async()
                sent = self._task._producer.enqueue_chunk_async(
                    self._route,
                    opened.calls,
                    self._task._check,
                    bulk.per_call,
                    resolve=opened.resolve,
                    spread=None if over is None else (*over, before),
                    verdicts=True,
                )
                in_flight.append((sent, opened))
                before += len(opened.calls)
                if len(in_flight) == IN_FLIGHT:
                    await settle()
            while in_flight:
                await settle()
        except Exception as error:  # noqa: BLE001  # raised again, explained
            bulk.failed(error)
            index = getattr(error, "call_index", None)
            if not in_flight or in_flight[-1][1] is not opened:
                await opened.failed_async(error)
            while in_flight:
                try:
                    await settle()
                except Exception as other:  # noqa: BLE001  # the first one counts
                    await in_flight.popleft()[1].failed_async(other)
            if index is None:
                self._fail(error, None, None, done.enqueued)
            self._fail(error, before + index, opened.calls[index], done.enqueued)
        except BaseException as error:
            bulk.failed(error)
            for future, _ in in_flight:
                future.cancel()
            if not isinstance(error, GeneratorExit):  # a closed coroutine must not wait
                for each in {*(chunk for _, chunk in in_flight), opened}:
                    await each.failed_async(error)
            raise
        bulk.end()
        return done.result(self._raises)

    def _open(self, chunk: Sequence[Any], over: tuple[int, int] | None) -> _OpenChunk:
        around = self._task._enqueueing.around
        assert isinstance(around, Around)
        resolve = partial(self.resolved_with_options, scripted=over is not None)
        return _OpenChunk(resolve, around, [Unprepared(call) for call in chunk])


class _Sent:
    """The verdicts about the calls so far.

    Attributes:
        count: how many calls were sent.
        enqueued: how many of them have enqueued a task.
    """

    def __init__(self, wants_each: bool) -> None:
        self.count = self.enqueued = 0
        self._wants_each = wants_each
        self._verdicts: Verdicts = []

    def add(self, verdicts: Verdicts) -> None:
        """Adds those about a chunk."""
        self.count += len(verdicts)
        self.enqueued += sum(present is None for _, present in verdicts)
        # A call may have a lock although its task has none.
        self._verdicts += verdicts if self._wants_each else (v for v in verdicts if v[1])

    def result(self, raises: bool) -> Sent:
        """Returns what `BulkCalls` makes of them.

        Args:
            raises: whether a call that was not enqueued is an error.
        """
        if self._wants_each:
            return self._verdicts
        if raises and self._verdicts:
            return [*self._verdicts, *[("", None)] * self.enqueued]
        return self.enqueued


class _OpenChunk:
    """The calls of one chunk on their way.

    Attributes:
        calls: all of them, in order.
    """

    def __init__(
        self,
        resolve: Callable[[Unprepared], tuple[tuple[Any, ...], Mapping[str, Any]]],
        around: Around,
        calls: list[Unprepared],
    ) -> None:
        self.calls = calls
        self._resolve = resolve
        self._around = around
        self._open: list[OpenCall] = []
        # The results or errors of `resolve`. The middleware runs before: `resolve` may be called
        # in another thread, and can't wait.
        self._ready: deque[tuple[Any, ...] | Exception] = deque()

    def prepare(self, *, on_loop: bool = False) -> None:
        """Runs the middleware of each call up to its `yield`."""
        for call in self.calls:
            try:
                resolved, opened = self._opened(call)
                self._add(resolved, opened, opened.begin(on_loop=on_loop))
            except Exception as error:  # noqa: BLE001 - `resolve` raises it for this call
                self._ready.append(error)
                return

    async def prepare_async(self) -> None:
        """As `prepare`, with the methods for an event loop."""
        if not self._around.awaits:
            self.prepare(on_loop=True)
            return
        for call in self.calls:
            try:
                resolved, opened = self._opened(call)
                self._add(resolved, opened, await opened.begin_async())
            except Exception as error:  # noqa: BLE001 - `resolve` raises it for this call
                self._ready.append(error)
                return

    def resolve(self, call: Unprepared) -> Any:
        """Returns what the core needs of the next call."""
        ready = self._ready.popleft()
        if isinstance(ready, Exception):
            raise ready
        return ready

    def _add(self, resolved: tuple[Any, ...], opened: OpenCall, headers: bytes | None) -> None:
        route, args, kwargs, _, _, lock, limit = resolved
        self._open.append(opened)
        self._ready.append((route, args, kwargs, headers, opened.task_id, lock, limit))

    def _opened(self, call: Unprepared) -> tuple[tuple[Any, ...], OpenCall]:
        resolved, options = self._resolve(call)
        route, args, kwargs, headers, task_id, _, _ = resolved
        return resolved, self._around.call(route, args, kwargs, headers, task_id, options)

    def end(self, verdicts: Verdicts) -> None:
        """Ends the calls: Redis has answered."""
        with ExitStack() as stack:  # it ends all of them, whatever one of them raises
            for call, (_, present) in self._taken(verdicts):
                stack.callback(call.end, present)

    async def end_async(self, verdicts: Verdicts) -> None:
        """As `end`, with the methods for an event loop."""
        async with AsyncExitStack() as stack:
            for call, (_, present) in self._taken(verdicts):
                stack.push_async_callback(call.end_async, present)

    def failed(self, error: BaseException, enqueued: int) -> None:
        """Ends the calls with an error, but for the first ones, which are in Redis."""
        with ExitStack() as stack:
            for call, index in self._taken(range(len(self._open))):
                stack.callback(call.end, error=None if index < enqueued else error)

    async def failed_async(self, error: BaseException) -> None:
        """As `failed`, with the methods for an event loop; no call is in Redis."""
        async with AsyncExitStack() as stack:
            for call, _ in self._taken(self._open):
                stack.push_async_callback(call.end_async, error=error)

    def _taken(self, others: Sequence[Other]) -> list[tuple[OpenCall, Other]]:
        """Returns the open calls, each with its part of the others, the last one first."""
        taken, self._open = self._open, []
        return list(zip(reversed(taken), reversed(others), strict=True))
