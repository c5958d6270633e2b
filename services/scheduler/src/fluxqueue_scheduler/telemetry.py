"""Sets up OpenTelemetry for the scheduler, once, at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fluxqueue_core import Settings
from fluxqueue_core.service import sdk

from .shard import Reader

if TYPE_CHECKING:
    from .tracing import Tracing

SERVICE = "fluxqueue-scheduler"


class Telemetry:
    """The SDK, and what the scheduler records with it.

    Attributes:
        tracing: for the loops.
        metrics: for the health endpoint.
    """

    def __init__(self, own: sdk.Sdk, tracing: Tracing) -> None:
        self._sdk = own
        self.tracing = tracing
        self.metrics = own.metrics
        self.export_lines = own.export_lines

    def watch(self, readers: Callable[[], Iterable[Reader]]) -> None:
        """Exports the lengths of the queues that these readers can read."""
        from .queue_metrics import QueueMetrics

        if self.tracing.meter is not None:
            QueueMetrics(self.tracing.meter, readers, self.tracing.server)

    def flush(self) -> None:
        """Exports what is left, within a few seconds."""
        self._sdk.flush()


def set_up(settings: Settings, serves_metrics: bool) -> Telemetry | None:
    """Sets up what the environment asks for; returns None if it asks for nothing.

    Raises:
        ConfigurationError: a variable is not valid.
    """
    own = sdk.set_up(SERVICE, serves_metrics)
    if own is None:
        return None
    from .tracing import Tracing

    return Telemetry(own, Tracing.of_process(settings))
