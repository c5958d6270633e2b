"""What the worker says of itself to whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from fluxqueue_core import Consumer

from .options import Options

if TYPE_CHECKING:
    from fluxqueue_core.service.health import HealthServer, Metrics

# How often an idle main loop goes round where somebody may ask (seconds).
HEARTBEAT = 1.0


class WorkerHealth:
    """Answers from what the main loop and the consumer's thread last did.

    A task that takes long, or that blocks the event loop, is no sign of a stuck
    worker: a restart would only run it again.

    Args:
        patience: seconds without a turn after which a loop counts as stuck. The
            lease: a consumer's thread that slept so long has lost it.
    """

    def __init__(
        self, consumer: Consumer, patience: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._consumer = consumer
        self._patience = patience
        self._clock = clock
        self._turned_at = clock()
        self._draining = False

    def turn(self) -> None:
        """The main loop goes round."""
        self._turned_at = self._clock()

    def draining(self) -> None:
        """From now on it is not ready."""
        self._draining = True

    def live(self) -> list[str]:
        """Why only a restart helps; empty: all is well."""
        ages = {
            "the main loop": self._clock() - self._turned_at,
            "the thread that talks to Redis": self._consumer.turn_age,
        }
        return [
            f"{loop} has not gone round for {age:.1f} s"
            for loop, age in ages.items()
            if age > self._patience
        ]

    def ready(self) -> list[str]:
        """Why it takes no tasks; empty: it does."""
        reasons = self.live()
        if self._draining:
            reasons.append("the worker drains")
        else:
            reasons += [
                f"Redis does not serve the queue {queue}" for queue in self._consumer.disconnected
            ]
        return reasons


def listen(options: Options, health: WorkerHealth, metrics: Metrics | None) -> HealthServer | None:
    """The endpoint, not started yet; None where the options want none.

    Raises:
        ConfigurationError: it can't listen there.
    """
    if not options.health_port:
        return None
    # Imported only where it is wanted.
    from fluxqueue_core.service.health import HealthServer

    host, port = options.health_host, options.health_port
    place = options.place
    listener = None
    if place is not None and place.health is not None:
        # The supervisor answers at the port, and asks here.
        import socket

        listener = socket.socket(fileno=place.health)
        listener.set_inheritable(False)
    server = HealthServer(host, port, health.live, health.ready, listener)
    server.metrics = metrics
    return server
