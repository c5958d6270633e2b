"""What works on one server: three loops, each with a thread and a connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxqueue_core import Settings

from .connect import Node
from .housekeeping import Housekeeper
from .loop import Loop
from .options import Options
from .outages import Complaints, Outages
from .promote import Promoter
from .queues import Queues
from .redis_client import RedisClient
from .sweep import Sweeper

if TYPE_CHECKING:
    from .tracing import Tracing

# Seconds that Redis has to say how long its queues are.
METRICS_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Reader:
    """A connection for those who export metrics, and what it can tell of."""

    client: RedisClient
    queues: Queues


class Shard:
    """A server, or one master of a cluster, with the queues that it has.

    Args:
        node: where the settings name a cluster: which of its masters.
        moved: called when the master says that a slot is with another one.

    Attributes:
        queues: the names of its queues.
        loops: its threads.
        outages: whether it is away.
        reader: for those who export metrics.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options,
        queues: Queues,
        complaints: Complaints,
        tracing: Tracing | None = None,
        node: Node | None = None,
        moved: Callable[[], None] | None = None,
    ) -> None:
        self.queues = queues
        self.outages = Outages(None if node is None else f"{node[0]}:{node[1]}")
        self._stop = threading.Event()
        # Three connections: a slow search must not delay a sweep, nor a rescue
        # a retry. An answer slower than the gap is as good as none.
        clients = [RedisClient(settings, options.gap, node, moved) for _ in range(3)]
        promoting, rescuing, keeping = clients
        # Read by those who export, each in a thread of its own.
        self.reader = Reader(RedisClient(settings, METRICS_PATIENCE, node, moved), queues)
        self._clients = [*clients, self.reader.client]
        steps = {
            "promote": Promoter(promoting, queues, complaints, tracing).step,
            "rescue": Sweeper(rescuing, queues, options, complaints, tracing).step,
            "housekeeping": Housekeeper(keeping, queues, options, complaints).step,
        }
        where = "" if node is None else f" {node[0]}:{node[1]}"
        self.loops: Sequence[Loop] = [
            Loop(name + where, step, self._stop, self.outages, complaints)
            for name, step in steps.items()
        ]

    def start(self) -> None:
        """Starts the threads; returns at once, also when Redis is away."""
        for loop in self.loops:
            loop.start()

    def current(self) -> Sequence[Shard]:
        """Itself."""
        return [self]

    @property
    def error(self) -> str:
        """Why the names of the queues can't be read; empty where they can."""
        return self.queues.error

    def end(self) -> None:
        """Lets each loop finish the call it is in; does not wait for that."""
        self._stop.set()

    def ended(self) -> bool:
        """Whether all loops have ended."""
        return not any(loop.is_alive() for loop in self.loops)

    def stop(self) -> None:
        """Ends the loops, waits for that, and closes the connections."""
        self.end()
        for loop in self.loops:
            loop.join()
        for client in self._clients:
            client.close()
