"""Waits for the results of tasks on event loops.

Why: docs/decisions/0107-one-connection-for-all-waits.md
"""

from __future__ import annotations

import asyncio
import weakref

from fluxqueue_core import Settings

from .waiting import Place, by_queue, listener


class _Wait:
    """One wait on an event loop."""

    __slots__ = ("future", "place", "token")

    def __init__(self, place: Place, future: asyncio.Future[bytes]) -> None:
        self.place = place
        self.future = future
        self.token: int | None = None


class LoopWaits:
    """The waits of one event loop. All that begin in one turn of the loop are sent together.

    It keeps no reference to the loop, which it would keep alive.
    """

    def __init__(self, settings: Settings) -> None:
        self._namespace = settings.namespace
        self._mailbox = listener(settings).mailbox(has_fd=True)
        self._waits: dict[int, _Wait] = {}
        self._new: list[_Wait] = []
        self._next = 0

    async def wait(self, place: Place) -> bytes:
        """Returns the outcome of a task as JSON, when it has ended.

        Raises:
            BrokerError: Redis refuses to tell.
        """
        loop = asyncio.get_running_loop()
        wait = _Wait(place, loop.create_future())
        if not self._new:
            loop.call_soon(self._watch)
        self._new.append(wait)
        try:
            return await wait.future
        finally:
            self._end(wait)

    def _watch(self) -> None:
        new, self._new = [wait for wait in self._new if not wait.future.done()], []
        if not new:
            return
        if not self._waits:
            loop = asyncio.get_running_loop()
            assert self._mailbox.fd is not None
            loop.add_reader(self._mailbox.fd, self._arrived)
        for queue, positions in by_queue([wait.place for wait in new]).items():
            first, self._next = self._next, self._next + len(positions)
            for token, position in enumerate(positions, first):
                self._waits[token] = new[position]
                new[position].token = token
            ids = [new[position].place.task_id for position in positions]
            try:
                self._mailbox.watch(self._namespace, queue, ids, first)
            except Exception as error:  # noqa: BLE001 - the waits raise it
                for position in positions:
                    new[position].future.set_exception(error)

    def _arrived(self) -> None:
        for token, outcome, error in self._mailbox.collect():
            wait = self._waits.get(token)
            if wait is None or wait.future.done():
                continue
            if outcome is None:
                assert error is not None
                wait.future.set_exception(error)
            else:
                wait.future.set_result(outcome)

    def _end(self, wait: _Wait) -> None:
        if wait.token is None or self._waits.pop(wait.token, None) is None:
            return
        if wait.future.cancelled() or wait.future.exception() is not None:
            self._mailbox.forget(wait.token)
        if not self._waits and self._mailbox.fd is not None:
            asyncio.get_running_loop().remove_reader(self._mailbox.fd)


# Of each event loop, by what the connection depends on.
_of_loops: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[str, str], LoopWaits]
] = weakref.WeakKeyDictionary()


async def wait_async(settings: Settings, place: Place) -> bytes:
    """Returns the outcome of a task as JSON, when it has ended.

    Raises:
        BrokerError: Redis refuses to tell.
    """
    waits = _of_loops.setdefault(asyncio.get_running_loop(), {})
    key = (settings.url, settings.namespace)
    if (found := waits.get(key)) is None:
        found = waits[key] = LoopWaits(settings)
    return await found.wait(place)
