"""The numbers that all viewers of live pages share: the lengths, rates and times of all queues, now
and before."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from fluxqueue_control import ages, pausing, queues, workers
from fluxqueue_control.counting import Counting
from fluxqueue_control.queues import Lengths
from fluxqueue_control.registry import read_names
from fluxqueue_control.servers import Servers
from fluxqueue_control.stats import Window
from fluxqueue_control.workers import Worker

STATES: Sequence[str] = ("pending", "suspects", "delayed", "claimed", "dead")
# How attempts end, per second.
RATES: Sequence[str] = ("succeeded", "retried", "died")
# Moments of the past that a graph shows, and the seconds that they cover.
MOST = 150
SPAN = 300.0
# Queues that a live page follows, at most.
MOST_QUEUES = 1_000


@dataclass(frozen=True, slots=True)
class QueueNow:
    """A queue at one moment.

    Attributes:
        oldest: how long the oldest task has waited, seconds; None if none waits.
        window: what workers have counted in the last minute; None if they have not counted yet.
    """

    name: str
    lengths: Lengths
    is_paused: bool
    workers: Sequence[Worker]
    oldest: float | None = None
    window: Window | None = None

    @property
    def alive(self) -> int:
        """How many workers serve it."""
        return sum(worker.state == "alive" for worker in self.workers)

    @property
    def slots(self) -> int:
        """How many tasks its workers can run at once. A worker may serve other queues too."""
        return sum(_whole(worker.identity.get("slots")) for worker in self.workers)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All queues at one moment.

    Attributes:
        at: seconds since 1970.
        left_out: how many queues there are besides.
        error: why Redis could not be asked; the queues are empty then.
    """

    at: float
    queues: Sequence[QueueNow] = ()
    left_out: int = 0
    error: str | None = None

    def queue(self, name: str) -> QueueNow | None:
        """Returns a queue by its name."""
        return next((queue for queue in self.queues if queue.name == name), None)

    def total(self, state: str, name: str | None = None) -> int | None:
        """Returns how many tasks are in a state, in all queues or one; None if it is not known."""
        if self.error is not None:
            return None
        chosen = [queue for queue in self.queues if name is None or queue.name == name]
        found = [getattr(queue.lengths, state) for queue in chosen]
        return None if None in found else sum(found)

    def window(self, name: str | None = None) -> Window | None:
        """Returns what the workers of all queues, or of one, have counted in the last minute; None
        if they have not counted yet."""
        found = None
        for queue in self.queues:
            if queue.window is not None and name in (None, queue.name):
                found = queue.window if found is None else found + queue.window
        return found

    def rate(self, kind: str, name: str | None = None) -> float | None:
        """Returns how many attempts have ended in this way, per second, over the last minute."""
        window = self.window(name)
        if window is None:
            return None
        ends = window.numbers.ends
        count = {"succeeded": ends.succeeded, "retried": ends.retried, "died": ends.dead}[kind]
        return count / window.seconds

    def oldest(self, name: str | None = None) -> float | None:
        """Returns how long the oldest task of all queues, or of one, has waited; None if none
        waits."""
        chosen = [queue for queue in self.queues if name in (None, queue.name)]
        return max((each.oldest for each in chosen if each.oldest is not None), default=None)

    @property
    def processes(self) -> set[tuple[object, object]]:
        """The worker processes, by host and process id."""
        return {
            (worker.identity.get("host"), worker.identity.get("pid"))
            for queue in self.queues
            for worker in queue.workers
            if worker.state == "alive"
        }


class SnapshotReader:
    """Reads snapshots, one at a time."""

    def __init__(self) -> None:
        self._counting = Counting()

    def read(self, servers: Servers) -> Snapshot:
        """Reads all queues. Raises as `read_names` and `read_lengths` do."""
        names = read_names(servers.of_registry()).names
        shown = names[:MOST_QUEUES]
        lengths: dict[str, Lengths] = {}
        paused: dict[str, bool] = {}
        oldest: dict[str, float | None] = {}
        by_client = servers.of_queues(shown)
        for client, some in by_client:
            lengths |= queues.read_lengths(client, some)
            paused |= pausing.read_paused(client, some)
            oldest |= ages.read_oldest(client, some)
        windows = self._counting.read(by_client)
        found = []
        for name in shown:
            serving = _workers(servers, name)
            window = windows.get(name)
            # A window without an end may be of workers that do not count yet.
            counts = any(worker.report is not None for worker in serving)
            if window is not None and not counts and window.rate == 0:
                window = None
            parts = (name, lengths[name], paused[name], serving, oldest[name], window)
            found.append(QueueNow(*parts))
        return Snapshot(time.time(), found, max(len(names) - MOST_QUEUES, 0))


def _workers(servers: Servers, queue: str) -> list[Worker]:
    return list(workers.scan(servers.of_queue(queue), queue))


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


@dataclass(slots=True)
class Past:
    """The totals and rates of the last snapshots, for graphs."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=MOST))
    _totals: dict[str | None, deque[dict[str, float | None]]] = field(default_factory=dict)

    def add(self, snapshot: Snapshot) -> None:
        """Adds a snapshot, and forgets the queues that it does not have."""
        missing = len(self.times)
        self.times.append(snapshot.at)
        names: list[str | None] = [None, *(queue.name for queue in snapshot.queues)]
        if snapshot.error is not None:
            names = list(self._totals) or [None]
        totals = {}
        for name in names:
            kept = self._totals.get(name)
            if kept is None:
                kept = deque(({} for _ in range(missing)), maxlen=MOST)
            now: dict[str, float | None] = {s: snapshot.total(s, name) for s in STATES}
            kept.append(now | {kind: snapshot.rate(kind, name) for kind in RATES})
            totals[name] = kept
        self._totals = totals

    def values(self, state: str, queue: str | None = None) -> list[float | None]:
        """Returns the totals of a state, or the rates of a way to end, over `times`."""
        found = self._totals.get(queue)
        if found is None:
            return [None] * len(self.times)
        return [each.get(state) for each in found]
