"""Sends many calls of one task in chunks, and explains the one that fails."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import filterfalse, islice
from typing import TYPE_CHECKING, Any, NoReturn

from fluxqueue_core import Producer, Route

from .enqueueing import Enqueueing
from .errors import ArgumentTypeError, FluxQueueError
from .middleware import Bulk

if TYPE_CHECKING:
    import asyncio

CHUNK = 1_000
IN_FLIGHT = 2

_SHAPE = "a call is a tuple of positional arguments or a mapping of keyword arguments"


class BulkCalls:
    """Sends calls of one task.

    Not a dataclass: creating one takes longer than the rest of this import.

    Attributes:
        where: the name of the task in error messages.
    """

    __slots__ = ("check", "enqueueing", "producer", "route", "signature", "where")

    def __init__(
        self,
        where: str,
        producer: Producer,
        enqueueing: Enqueueing,
        route: Route,
        signature: inspect.Signature,
        check: Callable[..., object],
    ) -> None:
        self.where = where
        self.producer = producer
        self.enqueueing = enqueueing
        self.route = route
        self.signature = signature
        self.check = check

    def send(self, calls: Iterable[Any]) -> int:
        _check_iterable(calls, self.where)
        # Keeps the call that the core took last. All of this runs in C: a Python frame per
        # call would lower the rate. (`append` returns None, so no call is left out.)
        latest: deque[Any] = deque(maxlen=1)
        watched = filterfalse(latest.append, calls)
        bulk = self._begin()
        try:
            count = self.producer.enqueue_many(self.route, watched, self.check, bulk.per_call)
        except Exception as error:  # noqa: BLE001  # raised again, explained
            bulk.failed(error)
            index = getattr(error, "call_index", None)
            call = latest[0] if index is not None else None
            self._fail(error, index, call, getattr(error, "enqueued", 0))
        except BaseException as error:
            bulk.failed(error)
            raise
        bulk.end()
        return count

    def _begin(self) -> Bulk:
        return self.enqueueing.way().bulk(self.route)

    async def send_async(self, calls: Iterable[Any]) -> int:
        _check_iterable(calls, self.where)
        iterator = iter(calls)
        in_flight: deque[tuple[asyncio.Future[None], int]] = deque()
        enqueued = before = 0
        bulk = self._begin()
        chunk: list[Any] = []
        try:
            while chunk := list(islice(iterator, CHUNK)):
                sent = self.producer.enqueue_chunk_async(
                    self.route, chunk, self.check, bulk.per_call
                )
                before += len(chunk)
                in_flight.append((sent, len(chunk)))
                if len(in_flight) == IN_FLIGHT:
                    await in_flight[0][0]
                    enqueued += in_flight.popleft()[1]
            while in_flight:
                await in_flight[0][0]
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
        return enqueued

    def _fail(self, error: Exception, index: int | None, call: Any, enqueued: int) -> NoReturn:
        """Raises `error` with the details that are known.

        Args:
            index: the index of the `call` that can't be sent; None if no call is at
                fault.
        """
        before = f"{enqueued} calls were enqueued before"
        explained: Exception = error
        if index is not None:
            where = f"{self.where}, call {index} ({before} it)"
            explained = self._explain(error, call, where)
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

        if isinstance(error, FluxQueueError):  # the message is too large
            return type(error)(f"{where}: {str(error).removeprefix(f'{self.where}: ')}")
        if isinstance(call, tuple):
            args, kwargs = tuple(call), {}
        elif isinstance(call, Mapping):
            args, kwargs = (), dict(call)
        else:
            return ArgumentTypeError(f"{where}: it is a {type(call).__name__}; {_SHAPE}")
        try:
            self.check(*args, **kwargs)
        except TypeError as unfit:
            return ArgumentTypeError(f"{where}: {unfit}")
        return explain(error, where, self.signature, args, kwargs)


def _check_iterable(calls: object, where: str) -> None:
    if isinstance(calls, Mapping | str | bytes) or not isinstance(calls, Iterable):
        raise TypeError(
            f"{where}: pass an iterable of calls, not a {type(calls).__name__}; {_SHAPE}"
        )


async def _settled(in_flight: Sequence[tuple[asyncio.Future[None], int]]) -> int:
    """Returns how many calls of the chunks in flight are in Redis."""
    import asyncio

    outcomes = await asyncio.gather(*(future for future, _ in in_flight), return_exceptions=True)
    sizes = (size for _, size in in_flight)
    return sum(size for size, error in zip(sizes, outcomes, strict=True) if error is None)
