"""Live pages: one reader of Redis for all viewers, and none without viewers.

Why: docs/decisions/0201-one-reader-for-all-viewers.md
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Protocol, TypeVar

# Seconds from one reading to the next.
INTERVAL = 2.0


class Moment(Protocol):
    """A reading of one moment: `at`, in seconds since 1970."""

    @property
    def at(self) -> float: ...


S = TypeVar("S", bound=Moment)


class Hub(Generic[S]):
    """Gives each snapshot to all viewers.

    Args:
        read: reads a snapshot; it does not raise.
        interval: seconds between two readings.
    """

    def __init__(self, read: Callable[[], Awaitable[S]], interval: float = INTERVAL) -> None:
        self._read = read
        self._interval = interval
        self._viewers: set[asyncio.Event] = set()
        self._reader: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[S] | None = None
        self._latest: S | None = None
        self._closed = False

    async def now(self) -> S:
        """Returns a snapshot that is not older than the interval. Viewers who ask at the same
        time wait for one reading."""
        latest = self._latest
        if latest is not None and time.time() - latest.at < self._interval:
            return latest
        return await self._next()

    def forget(self) -> None:
        """Has the next page read again, because something was changed."""
        self._latest = None

    async def follow(self) -> AsyncIterator[S]:
        """Yields the next snapshots until the hub is closed. A slow viewer misses some."""
        ready = asyncio.Event()
        self._viewers.add(ready)
        if self._reader is None:
            self._reader = asyncio.create_task(self._run())
        try:
            while True:
                await ready.wait()
                ready.clear()
                if self._closed:
                    return
                yield self._latest or await self.now()
        finally:
            self._viewers.discard(ready)
            if not self._viewers and self._reader is not None:
                self._reader.cancel()
                self._reader = None

    def close(self) -> None:
        """Ends all viewers."""
        self._closed = True
        self._wake()

    async def _run(self) -> None:
        while True:
            began = time.monotonic()
            await self._next()
            self._wake()
            await asyncio.sleep(max(self._interval - (time.monotonic() - began), 0.05))

    async def _next(self) -> S:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_once())
        # A viewer who leaves does not end the reading of the others.
        return await asyncio.shield(self._reading)

    async def _read_once(self) -> S:
        try:
            snapshot = await self._read()
            self._latest = snapshot
            return snapshot
        finally:
            self._reading = None

    def _wake(self) -> None:
        for ready in self._viewers:
            ready.set()


async def close(snapshots: AsyncIterator[object]) -> None:
    """Ends a viewer at once, not when its generator is collected."""
    with contextlib.suppress(RuntimeError):
        await snapshots.aclose()  # type: ignore[attr-defined]
