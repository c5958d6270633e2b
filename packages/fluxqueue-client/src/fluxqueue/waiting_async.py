"""Waits for the results of tasks on event loops.

Why: docs/decisions/0107-one-connection-for-all-waits.md
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Sequence

from fluxqueue_core import Settings

from .progress import is_report
from .waiting import TaskRef, by_queue, listener


class _Wait:
    """One wait on an event loop."""

    __slots__ = ("future", "has_news", "is_over", "report", "task", "token", "until")

    def __init__(self, task: TaskRef, future: asyncio.Future[bytes], until: str) -> None:
        self.task = task
        self.future = future
        self.until = until
        self.token: int | None = None
        # Whether the caller waits no longer.
        self.is_over = False
        # The last report of progress that the watcher has not taken.
        self.report: bytes | None = None
        # Set at each report, and at the end.
        self.has_news = asyncio.Event() if until == "reported" else None

    def told(self, token: int, outcome: bytes | None, error: Exception | None) -> None:
        if self.future.done():
            return
        if outcome is None:
            assert error is not None
            self.future.set_exception(error)
        elif self.has_news is not None and is_report(outcome):
            self.report = outcome
            self.has_news.set()
        else:
            self.future.set_result(outcome)


class Group:
    """The waits for many tasks that one caller waits for: they wake it once.

    Attributes:
        found: for each task, its outcome as JSON, the error that ended the wait, or None as
            long as nothing has arrived.
        future: has a result when everything has arrived.
    """

    __slots__ = ("_first", "_left", "_positions", "found", "future")

    def __init__(self, count: int, first: int, future: asyncio.Future[None]) -> None:
        self.found: list[bytes | Exception | None] = [None] * count
        self.future = future
        self._left = count
        self._first = first
        # By token, from the first one on.
        self._positions: list[int] = []

    def add(self, positions: Sequence[int]) -> range:
        """Returns the tokens of these tasks."""
        first = self._first + len(self._positions)
        self._positions.extend(positions)
        return range(first, first + len(positions))

    @property
    def tokens(self) -> range:
        return range(self._first, self._first + len(self._positions))

    def told(self, token: int, outcome: bytes | None, error: Exception | None) -> None:
        self.found[self._positions[token - self._first]] = error if outcome is None else outcome
        self._left -= 1
        if not self._left and not self.future.done():
            self.future.set_result(None)


class LoopWaits:
    """The waits of one event loop. All that begin in one turn of the loop are sent together.

    It keeps no reference to the loop, which it would keep alive.
    """

    def __init__(self, settings: Settings) -> None:
        self._namespace = settings.namespace
        self._mailbox = listener(settings).mailbox(has_fd=True)
        self._waits: dict[int, _Wait | Group] = {}
        self._new: list[_Wait] = []
        self._next = 0
        self._listens = False

    async def wait(self, task: TaskRef, until: str = "outcome") -> bytes:
        """Returns the outcome of a task as JSON, when it has ended.

        Args:
            until: 'outcome', or 'look': what the first look has found, b'' for nothing.

        Raises:
            BrokerError: Redis refuses to tell.
        """
        wait = self._begin(task, until)
        try:
            return await wait.future
        finally:
            self._end(wait)

    async def watch(self, task: TaskRef) -> AsyncGenerator[bytes, None]:
        """Yields the reports of progress of a task until it has ended: the last one at
        once, then each that arrives before the caller asks for the next.

        Raises:
            BrokerError: Redis refuses to tell.
        """
        wait, last = self._begin(task, "reported"), None
        news = wait.has_news
        assert news is not None
        wait.future.add_done_callback(lambda _: news.set())
        try:
            while True:
                await news.wait()
                news.clear()
                report, wait.report = wait.report, None
                # A look and a message may bring the same report.
                if report is not None and report != last:
                    last = report
                    yield report
                if wait.future.done():
                    wait.future.result()
                    return
        finally:
            self._end(wait)

    def begin_group(self, tasks: Sequence[TaskRef], until: str) -> Group:
        """Begins to wait for many tasks, one at least. Call `end_group` in the end.

        Args:
            until: as for `wait`.
        """
        group = Group(len(tasks), self._next, asyncio.get_running_loop().create_future())
        self._next += len(tasks)
        self._listen()
        for queue, positions in by_queue(tasks).items():
            tokens = group.add(positions)
            self._waits.update(dict.fromkeys(tokens, group))
            ids = [tasks[position].task_id for position in positions]
            try:
                self._mailbox.watch(self._namespace, queue, ids, tokens.start, until)
            except Exception as error:  # noqa: BLE001 - the caller raises it
                for token in tokens:
                    del self._waits[token]
                    group.told(token, None, error)
        return group

    def end_group(self, group: Group) -> None:
        """Ends the waits for the tasks of which nothing has arrived."""
        for token in group.tokens:
            if self._waits.pop(token, None) is not None:
                self._mailbox.forget(token)

    def _begin(self, task: TaskRef, until: str) -> _Wait:
        loop = asyncio.get_running_loop()
        wait = _Wait(task, loop.create_future(), until)
        if not self._new:
            loop.call_soon(self._watch)
        self._new.append(wait)
        return wait

    def _watch(self) -> None:
        new = [wait for wait in self._new if not (wait.is_over or wait.future.done())]
        self._new = []
        if not new:
            return
        self._listen()
        for until in dict.fromkeys(wait.until for wait in new):
            self._send([wait for wait in new if wait.until == until], until)

    def _send(self, new: list[_Wait], until: str) -> None:
        for queue, positions in by_queue([wait.task for wait in new]).items():
            first, self._next = self._next, self._next + len(positions)
            for token, position in enumerate(positions, first):
                self._waits[token] = new[position]
                new[position].token = token
            ids = [new[position].task.task_id for position in positions]
            try:
                self._mailbox.watch(self._namespace, queue, ids, first, until)
            except Exception as error:  # noqa: BLE001 - the waits raise it
                for position in positions:
                    new[position].future.set_exception(error)

    def _arrived(self) -> None:
        for token, outcome, error in self._mailbox.collect():
            wait = self._waits.get(token)
            if wait is None:
                continue
            if isinstance(wait, Group):
                del self._waits[token]
            wait.told(token, outcome, error)

    def _end(self, wait: _Wait) -> None:
        wait.is_over = True
        if wait.token is None or self._waits.pop(wait.token, None) is None:
            return
        # The future is not done if Python closes the coroutine, for example after the end of its
        # loop. It can't be cancelled then: that needs the loop.
        future = wait.future
        if not future.done() or future.cancelled() or future.exception() is not None:
            self._mailbox.forget(wait.token)

    def _listen(self) -> None:
        """Asks the loop to say when something has arrived. Call this before the waits begin.

        The loop goes on to do so until it ends: to stop after each wait would take two system
        calls for each.
        """
        if not self._listens:
            assert self._mailbox.fd is not None
            asyncio.get_running_loop().add_reader(self._mailbox.fd, self._arrived)
            self._listens = True


# Of each event loop, by what the connection depends on.
_of_loops: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[str, str], LoopWaits]
] = weakref.WeakKeyDictionary()


def of_loop(settings: Settings) -> LoopWaits:
    """Returns the waits of the running event loop for a Redis."""
    loop = asyncio.get_running_loop()
    if (waits := _of_loops.get(loop)) is None:
        _forget_closed_loops()
        waits = _of_loops.setdefault(loop, {})
    key = (settings.url, settings.namespace)
    if (found := waits.get(key)) is None:
        found = waits[key] = LoopWaits(settings)
    return found


def _forget_closed_loops() -> None:
    """Ends the waits of loops that were closed before these had ended. Each of their futures keeps
    its loop alive, so no other reference to the loop would go."""
    for reference in _of_loops.keyrefs():
        loop = reference()
        if loop is not None and loop.is_closed():
            _of_loops.pop(loop, None)
