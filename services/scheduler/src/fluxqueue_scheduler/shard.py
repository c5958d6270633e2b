"""The scheduler's work on one server: three loops, each with a thread and a connection, and a
fourth one if there are periodic tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxqueue_control.connect import Node
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings

from .error_log import ErrorLog
from .housekeeping import Housekeeper
from .loop import Loop
from .options import Options
from .outages import Outages
from .promote import Promoter
from .queues import Queues
from .sweep import Sweeper

if TYPE_CHECKING:
    from .periodic import PeriodicTasks
    from .tracing import Tracing

# The name of the scheduler's connections in `CLIENT LIST`.
CLIENT_NAME = "fluxqueue-scheduler"
# Seconds to wait for a reply with the lengths of queues.
METRICS_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Reader:
    """A connection for the export of metrics, and the queues that it can read. The thread that
    uses the connection holds the lock."""

    client: RedisClient
    queues: Queues
    lock: threading.Lock = field(default_factory=threading.Lock)


class Shard:
    """The loops of one server, or of one master of a cluster, for the queues that it has.

    Args:
        node: the master, if the settings name a cluster.
        moved: called when the master says that a hash slot belongs to another one.

    Attributes:
        queues: the names of its queues.
        loops: its threads.
        outages: whether the server is unreachable.
        reader: for the export of metrics.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options,
        queues: Queues,
        error_log: ErrorLog,
        tracing: Tracing | None = None,
        node: Node | None = None,
        moved: Callable[[], None] | None = None,
    ) -> None:
        self.queues = queues
        self.outages = Outages(None if node is None else f"{node[0]}:{node[1]}")
        self._stop = threading.Event()

        def client(timeout: float) -> RedisClient:
            return RedisClient(settings, timeout, node, moved, CLIENT_NAME)

        # Three connections: a slow search must not delay a sweep, nor a rescue a retry.
        # A reply that takes longer than the gap is useless.
        clients = [client(options.gap) for _ in range(3)]
        promoting, rescuing, keeping = clients
        # The exporters' threads use this one.
        self.reader = Reader(client(METRICS_PATIENCE), queues)
        self._clients = [*clients, self.reader.client]
        is_cluster = node is not None
        steps = {
            "promote": Promoter(
                promoting,
                queues,
                error_log,
                tracing,
                is_cluster=is_cluster,
                found_periodic=self._found_periodic,
            ).step,
            "rescue": Sweeper(
                rescuing, queues, options, error_log, tracing, is_cluster=is_cluster
            ).step,
            "housekeeping": Housekeeper(keeping, queues, options, error_log, node).step,
        }
        where = "" if node is None else f" {node[0]}:{node[1]}"

        def loop(name: str, step: Callable[[], float]) -> Loop:
            return Loop(name + where, step, self._stop, self.outages, error_log)

        def periodic() -> PeriodicTasks:
            # Imported here, because most schedulers have no periodic tasks.
            from .periodic import PeriodicTasks

            own = client(options.gap)
            self._clients.append(own)
            tasks = PeriodicTasks(own, queues, options, error_log)
            started = loop("periodic", tasks.step)
            started.start()
            loops.append(started)
            return tasks

        self._start_periodic = periodic
        self._periodic: PeriodicTasks | None = None
        loops = [loop(name, step) for name, step in steps.items()]
        self.loops: Sequence[Loop] = loops

    def _found_periodic(self, queue: str) -> None:
        """Notes a queue with periodic tasks; the first one starts their loop."""
        if self._periodic is None:
            self._periodic = self._start_periodic()
        self._periodic.found(queue)

    def start(self) -> None:
        """Starts the threads; returns at once, even if Redis is unreachable."""
        # The first loop may find periodic tasks, and start another one, before the last one runs.
        for loop in tuple(self.loops):
            loop.start()

    def current(self) -> Sequence[Shard]:
        """Returns a list of itself, as `Shards.current` lists several."""
        return [self]

    @property
    def error(self) -> str:
        """Why the names of the queues can't be read; empty if they can."""
        return self.queues.error

    def end(self) -> None:
        """Tells each loop to end after its current call; does not wait."""
        self._stop.set()

    def ended(self) -> bool:
        """Whether all loops have ended."""
        return not any(loop.is_alive() for loop in self.loops)

    def stop(self) -> None:
        """Ends the loops, waits for them, and closes the connections."""
        self.end()
        for loop in self.loops:
            loop.join()
        for client in self._clients:
            client.close()
