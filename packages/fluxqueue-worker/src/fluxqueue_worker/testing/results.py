"""The outcomes of the tasks of a test, in place of Redis, and those who wait for them.

`ResultListener` and `Mailbox` of the core have the same methods: handles use either.
"""

from __future__ import annotations

import asyncio
import math
import os
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from fluxqueue.errors import ResultTimeout
from fluxqueue.progress import is_report

from .record import Place

# The place of a task, and its id.
Key = tuple[Place, str]
Arrived = tuple[int, bytes | None, Exception | None]


class Waiting(Protocol):
    """Lets time pass for those who wait."""

    @property
    def now(self) -> float: ...
    def wait(self, arrived: Callable[[], bool], timeout: float) -> None: ...
    def wait_async(self, mailbox: Mailbox) -> None: ...
    @property
    def why_nothing_arrives(self) -> str | None: ...


class Results:
    """The outcomes, and the last reports of progress, with the times at which they go."""

    def __init__(self) -> None:
        self._kept: dict[Key, tuple[bytes, float]] = {}
        self._mailboxes: weakref.WeakSet[Mailbox] = weakref.WeakSet()

    def keep(self, key: Key, kept: bytes, until: float) -> None:
        """Keeps what a task reports, or how it has ended."""
        self._kept[key] = kept, until
        for mailbox in list(self._mailboxes):
            mailbox.told(key, kept)

    def find(self, key: Key, now: float) -> bytes:
        """Returns what is kept; b'' for nothing."""
        kept, until = self._kept.get(key, (b"", now))
        return kept if until > now else b""

    def add(self, mailbox: Mailbox) -> None:
        """Tells the mailbox of what arrives."""
        self._mailboxes.add(mailbox)


class Listener:
    """The listener for the tasks of one Redis of a test."""

    waits = 0
    forked = False

    def __init__(self, url: str, results: Results, waiting: Waiting) -> None:
        self._url = url
        self._results = results
        self._waiting = waiting

    @property
    def problem(self) -> str | None:
        """Why nothing may arrive."""
        return self._waiting.why_nothing_arrives

    def mailbox(self, has_fd: bool = False) -> Mailbox:
        """Makes a mailbox. `has_fd`: an event loop polls it."""
        mailbox = Mailbox(self._url, self._results, self._waiting, has_fd)
        self._results.add(mailbox)
        return mailbox


class Mailbox:
    """Where the results for one thread or event loop arrive."""

    def __init__(self, url: str, results: Results, waiting: Waiting, has_fd: bool) -> None:
        self._url = url
        self._results = results
        self._waiting = waiting
        self._wanted: dict[int, tuple[Key, str]] = {}
        self._arrived: deque[Arrived] = deque()
        self.fd: int | None = None
        # Open as long as this object: a loop that polls a closed one might poll another file.
        self._pipe: tuple[int, int] | None = None
        if has_fd:
            self._pipe = os.pipe()
            self.fd = self._pipe[0]
            os.set_blocking(self.fd, False)

    @property
    def problem(self) -> str | None:
        """Why nothing may arrive."""
        return self._waiting.why_nothing_arrives

    @property
    def wants_outcomes(self) -> bool:
        """Whether an outcome that it waits for is missing."""
        return bool(self._wanted)

    def watch(
        self,
        namespace: str,
        queue: str,
        task_ids: Sequence[str],
        first: int,
        until: str = "outcome",
    ) -> None:
        """Begins to wait for tasks; the token of the first is `first`."""
        place = Place(self._url, namespace, queue)
        for token, task_id in enumerate(task_ids, first):
            key = place, task_id
            found = self._results.find(key, self._waiting.now)
            if until != "look":
                self._wanted[token] = key, until
                if found:
                    self.told(key, found)
            else:
                self._put(token, found, None)
        if self._pipe is None or not self._wanted:
            return
        if asyncio._get_running_loop() is not None:
            self._waiting.wait_async(self)
        else:  # a greenlet polls the descriptor
            self._waiting.wait(lambda: not self._wanted, math.inf)
            self.give_up()

    def told(self, key: Key, kept: bytes) -> None:
        """Something is kept of a task."""
        for token, (wanted, until) in list(self._wanted.items()):
            if wanted != key:
                continue
            if not is_report(kept):
                del self._wanted[token]
            elif until != "reported":
                continue
            self._put(token, kept, None)

    def give_up(self) -> None:
        """TaskEnds all waits: nothing that they wait for can arrive."""
        why = self.problem or "it has no result_ttl, its result has expired, or it never existed"
        for token, (key, _) in list(self._wanted.items()):
            place, task_id = key
            error = ResultTimeout(
                f"task {task_id} (queue {place.queue!r}): no result can arrive: {why}"
            )
            error.task_id, error.queue = task_id, place.queue
            del self._wanted[token]
            self._put(token, None, error)

    def _put(self, token: int, kept: bytes | None, error: Exception | None) -> None:
        self._arrived.append((token, kept, error))
        if self._pipe is not None:
            os.write(self._pipe[1], b"x")

    def collect(self) -> list[Arrived]:
        """Takes what has arrived: token, outcome as JSON, error."""
        arrived = []
        while self._arrived:
            arrived.append(self._arrived.popleft())
            if self._pipe is not None:
                os.read(self._pipe[0], 1)
        return arrived

    def wait(self, timeout: float) -> bool:
        """Lets up to `timeout` seconds of the test's clock pass until something is here."""
        if not self._arrived:
            self._waiting.wait(lambda: bool(self._arrived), timeout)
        return bool(self._arrived)

    def forget(self, token: int) -> None:
        """TaskEnds a wait."""
        self._wanted.pop(token, None)

    def __del__(self) -> None:
        for descriptor in self._pipe or ():
            os.close(descriptor)
