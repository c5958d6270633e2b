"""The worker's side of OpenTelemetry: decided once, at the start.

Without an SDK the worker has no middleware for it, and nothing happens per task. With
one, `tracing` is the first middleware.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fluxqueue_core import Consumer, Event, Settings
from fluxqueue_core.service import sdk
from fluxqueue_core.service.log import Logger

from .middleware import Middleware
from .options import Options

if TYPE_CHECKING:
    from fluxqueue_core.service.health import Metrics

    from .tracing import Tracing

SERVICE = "fluxqueue-worker"


class Telemetry:
    """Telemetry without an SDK: it records nothing.

    Attributes:
        middleware: records each attempt.
        records_attempts: whether it does so.
        metrics: for the health endpoint; None if it does not offer them.
    """

    middleware: Sequence[Middleware] = ()
    records_attempts = False
    metrics: Metrics | None = None

    def export_lines(self, logger: Logger) -> None:
        """Makes the logger export its lines, if the environment asks for that."""

    def watch(self, consumer: Consumer, stuck: Callable[[], int]) -> None:
        """Observes how busy the consumer is, and how many tasks did not end at their
        timeout."""

    def happened(self, queue: str, event: Event) -> None:
        """Records an event of that queue's consumer."""

    def flush(self) -> None:
        """Exports what is left, within a few seconds."""


class SdkTelemetry(Telemetry):
    """Telemetry with an SDK.

    Args:
        tracing: None if only log lines are exported.
    """

    def __init__(self, own: sdk.Sdk, tracing: Tracing | None) -> None:
        self._sdk = own
        self._tracing = tracing
        self.metrics = own.metrics
        self.records_attempts = tracing is not None
        self.middleware = () if tracing is None else (tracing,)

    def export_lines(self, logger: Logger) -> None:
        self._sdk.export_lines(logger)

    def watch(self, consumer: Consumer, stuck: Callable[[], int]) -> None:
        if self._tracing is not None and self._tracing.metrics is not None:
            self._tracing.metrics.watch(consumer)
            self._tracing.metrics.watch_stuck(stuck)

    def happened(self, queue: str, event: Event) -> None:
        if self._tracing is not None:
            self._tracing.happened(queue, event)

    def flush(self) -> None:
        self._sdk.flush()


def set_up(options: Options, settings: Settings) -> Telemetry:
    """Sets up what the environment asks for; in the process of another program, uses what
    that has set up.

    Raises:
        ConfigurationError: a variable is not valid.
    """
    own: sdk.Sdk | None
    if options.embedded:
        own = sdk.Sdk() if sdk.is_provided() else None
    else:
        own = sdk.set_up(SERVICE, serves_metrics=options.health_port != 0)
    if own is None:
        return Telemetry()
    from .tracing import Tracing

    tracing = Tracing.of_process(options, settings)
    if tracing is None and not own.exports_lines:
        return Telemetry()
    return SdkTelemetry(own, tracing)
