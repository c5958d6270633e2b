"""The worker's answers to health probes."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from fluxqueue_core import Consumer

from .options import Options

if TYPE_CHECKING:
    from fluxqueue_core.service.health import HealthServer, Metrics

# Seconds between two turns of an idle main loop if there is a health endpoint.
HEARTBEAT = 1.0


class WorkerHealth:
    """Answers from the last turns of the main loop and of the consumer's thread.

    A task that takes long, or that blocks the event loop, is no sign of a stuck
    worker: a restart would only run it again.

    Args:
        patience: seconds without a turn after which a loop counts as stuck: the
            lease, which a consumer's thread that slept longer has lost.
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
        """Notes a turn of the main loop."""
        self._turned_at = self._clock()

    def draining(self) -> None:
        """Makes the worker not ready from now on."""
        self._draining = True

    def live(self) -> list[str]:
        """The reasons why only a restart helps; empty if all is well."""
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
        """The reasons why the worker takes no tasks; empty if it does."""
        reasons = self.live()
        if self._draining:
            reasons.append("the worker drains")
        else:
            reasons += [
                f"Redis does not serve the queue {queue}" for queue in self._consumer.disconnected
            ]
        return reasons


def listen(options: Options, health: WorkerHealth, metrics: Metrics | None) -> HealthServer | None:
    """Makes the endpoint without starting it; None if the options ask for none.

    Raises:
        ConfigurationError: it can't listen at the port.
    """
    if not options.health_port:
        return None
    # Imported only if the options ask for the endpoint.
    from fluxqueue_core.service.health import HealthServer

    host, port = options.health_host, options.health_port
    position = options.process_position
    listener = None
    if position is not None and position.health is not None:
        # The supervisor answers at the public port, and asks this socket.
        import socket

        listener = socket.socket(fileno=position.health)
        listener.set_inheritable(False)
    server = HealthServer(host, port, health.live, health.ready, listener)
    server.metrics = metrics
    return server
