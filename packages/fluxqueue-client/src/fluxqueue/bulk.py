"""Many calls of one task, in chunks, and what to say when one of them fails."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count, filterfalse, islice
from typing import TYPE_CHECKING, Any, NoReturn

from fluxqueue_core import Producer, Route

from .arguments import diagnose
from .errors import ArgumentTypeError, FluxQueueError

if TYPE_CHECKING:
    import asyncio

CHUNK = 1_000
IN_FLIGHT = 2

_SHAPE = "a call is a tuple of positional arguments or a mapping of keyword arguments"


@dataclass(frozen=True, slots=True)
class BulkCalls:
    """Sends calls of one task.

    Attributes:
        where: names the task in messages.
    """

    where: str
    producer: Producer
    route: Route
    signature: inspect.Signature
    check: Callable[..., object]

    def send(self, calls: Iterable[Any]) -> int:
        _check_iterable(calls, self.where)
        # The last calls that the core took, and how many it took: found out by
        # C iterators, since a Python frame per call would show in the rate.
        latest: deque[Any] = deque(maxlen=CHUNK)
        taken = count(1)
        watched = compress(filterfalse(latest.append, calls), taken)
        try:
            return self.producer.enqueue_many(self.route, watched, self.check)
        except Exception as error:  # noqa: BLE001  # raised again, explained
            first = next(taken) - 1 - len(latest)
            self._fail(error, latest, first, getattr(error, "enqueued", 0))

    async def send_async(self, calls: Iterable[Any]) -> int:
        _check_iterable(calls, self.where)
        iterator = iter(calls)
        in_flight: deque[tuple[asyncio.Future[None], int]] = deque()
        enqueued = taken = 0
        chunk: list[Any] = []
        try:
            while chunk := list(islice(iterator, CHUNK)):
                sent = self.producer.enqueue_chunk_async(self.route, chunk, self.check)
                taken += len(chunk)
                in_flight.append((sent, len(chunk)))
                if len(in_flight) == IN_FLIGHT:
                    await in_flight[0][0]
                    enqueued += in_flight.popleft()[1]
            while in_flight:
                await in_flight[0][0]
                enqueued += in_flight.popleft()[1]
        except Exception as error:  # noqa: BLE001  # raised again, explained
            enqueued += await _settled(in_flight)
            self._fail(error, chunk, taken, enqueued)
        except BaseException:
            for future, _ in in_flight:
                future.cancel()
            raise
        return enqueued

    def _fail(self, error: Exception, recent: Iterable[Any], first: int, enqueued: int) -> NoReturn:
        """Raises `error`, or better what is wrong with one of the recent calls."""
        before = f"{enqueued} calls were enqueued before"
        failure = error
        if isinstance(error, FluxQueueError):
            error.args = (f"{error} ({before} this error)",)
        elif isinstance(error, TypeError | ValueError):
            failure = self._first_refused(recent, first, f"{before} it") or error
        if failure is error and not isinstance(error, FluxQueueError):
            error.add_note(f"{self.where}: {before} this error")
        failure.enqueued = enqueued  # type: ignore[attr-defined]
        if failure is error:
            raise error
        raise failure from None

    def _first_refused(
        self, recent: Iterable[Any], first: int, before: str
    ) -> FluxQueueError | None:
        for index, call in enumerate(recent, first):
            where = f"{self.where}, call {index} ({before})"
            if isinstance(call, tuple):
                args, kwargs = call, {}
            elif isinstance(call, Mapping):
                args, kwargs = (), dict(call)
            else:
                return ArgumentTypeError(f"{where}: it is a {type(call).__name__}; {_SHAPE}")
            try:
                self.check(*args, **kwargs)
            except TypeError as error:
                return ArgumentTypeError(f"{where}: {error}")
            finding = diagnose(self.signature, args, kwargs)
            if finding is not None:
                return finding.error(where)
        return None


def _check_iterable(calls: object, where: str) -> None:
    if isinstance(calls, Mapping | str | bytes) or not isinstance(calls, Iterable):
        raise TypeError(
            f"{where}: pass an iterable of calls, not a {type(calls).__name__}; {_SHAPE}"
        )


async def _settled(in_flight: Sequence[tuple[asyncio.Future[None], int]]) -> int:
    """How many calls of the chunks on their way got into Redis."""
    import asyncio

    outcomes = await asyncio.gather(*(future for future, _ in in_flight), return_exceptions=True)
    sizes = (size for _, size in in_flight)
    return sum(size for size, error in zip(sizes, outcomes, strict=True) if error is None)
