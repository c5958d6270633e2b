"""The worker's side of OpenTelemetry: decided once, at the start.

Without an SDK the worker is made of the same parts as ever, and nothing is done
per task. With one, `tracing` stands between the loops and the consumer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Consumer, Settings
from fluxqueue_core.service import sdk

from .events import TaskEvents
from .jobs import Jobs
from .options import Options
from .outcomes import Outcomes

if TYPE_CHECKING:
    from .eventloop import EventLoop
    from .tracing import Tracing


SERVICE = "fluxqueue-worker"


class Telemetry:
    """The SDK and what is recorded with it.

    Attributes:
        tracing: between loops and consumer; None where only logs are exported.
        metrics: for the health endpoint.
    """

    def __init__(self, own: sdk.Sdk, tracing: Tracing | None) -> None:
        self._sdk = own
        self.tracing = tracing
        self.metrics = own.metrics
        self.export_lines = own.export_lines

    def stand_between(
        self, source: Jobs, consumer: Consumer, events: TaskEvents
    ) -> tuple[Jobs, Outcomes]:
        """What the loops are to have in place of `source`, and their outcomes."""
        if self.tracing is None:
            return source, Outcomes(consumer, events)
        from .tracing_loops import TracedConsumer, TracedOutcomes

        if self.tracing.metrics is not None:
            self.tracing.metrics.watch(consumer)
        traced = TracedConsumer(source, consumer, self.tracing)
        return traced, TracedOutcomes(traced, events)

    @property
    def event_loop(self) -> type[EventLoop]:
        """The loop for async tasks, which takes what `stand_between` returned."""
        if self.tracing is None:
            from .eventloop import EventLoop

            return EventLoop
        from .tracing_loops import TracedEventLoop

        return TracedEventLoop

    def happened(self, event: Mapping[str, Any]) -> None:
        """An event of the consumer."""
        if self.tracing is not None:
            self.tracing.happened(event)

    def watch_stuck(self, stuck: Callable[[], int]) -> None:
        """Shows how many tasks did not end at their timeout."""
        if self.tracing is not None and self.tracing.metrics is not None:
            self.tracing.metrics.watch_stuck(stuck)

    def flush(self) -> bool:
        """Exports what is left; False where that took too long."""
        return self._sdk.flush()


def set_up(options: Options, settings: Settings) -> Telemetry | None:
    """What the environment asks for; None where that is nothing.

    Raises:
        ConfigurationError: a variable is not valid.
    """
    own = sdk.set_up(SERVICE, serves_metrics=options.health_port != 0)
    if own is None:
        return None
    from .tracing import Tracing

    tracing = Tracing.of_process(options, settings)
    return None if tracing is None and not own.exports_lines else Telemetry(own, tracing)
