"""The contents of the screen, read from Redis in a few round trips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fluxqueue_control import pausing, workers
from fluxqueue_control.servers import Servers
from fluxqueue_control.watching import Observation, Observer
from fluxqueue_control.workers import Worker

# Workers that one screen has room for, at most.
_MOST_WORKERS = 500


@dataclass(frozen=True, slots=True)
class ScreenState:
    """The contents of the screen.

    Attributes:
        workers: each with its queue; those with the most tasks first.
        has_more: whether there are more workers than that.
    """

    queues: Sequence[Observation]
    workers: Sequence[tuple[str, Worker]]
    has_more: bool


class ScreenSource:
    """Reads and changes what the screen shows. One thread at a time uses it.

    Args:
        queues: which; by default all that a worker has served.
    """

    def __init__(self, servers: Servers, queues: Sequence[str] = ()) -> None:
        self._servers = servers
        self._observer = Observer(servers, queues)

    def read(self) -> ScreenState:
        """Reads the state. Raises as `Observer.observe`."""
        queues = self._observer.observe()
        found: list[tuple[str, Worker]] = []
        has_more = False
        for seen in queues:
            client = self._servers.of_queue(seen.queue)
            for worker in workers.scan(client, seen.queue):
                if len(found) == _MOST_WORKERS:
                    has_more = True
                    break
                found.append((seen.queue, worker))
        found.sort(key=lambda each: (-each[1].claimed, each[0], each[1].consumer))
        return ScreenState(queues, found, has_more)

    def set_paused(self, queue: str, *, paused: bool) -> bool:
        """Pauses or resumes a queue; returns whether that has changed it. Raises as `pause`."""
        change = pausing.pause if paused else pausing.resume
        return change(self._servers.of_queue(queue), queue)
