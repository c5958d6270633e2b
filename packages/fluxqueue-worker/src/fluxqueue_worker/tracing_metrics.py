"""The worker's metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import TYPE_CHECKING, Any

from fluxqueue_core.telemetry import semconv as s
from fluxqueue_core.telemetry.histograms import Histogram, Histograms, Series
from fluxqueue_core.telemetry.tally import Tally
from opentelemetry.metrics import CallbackOptions, Observation

from .options import Options
from .recording import Recording

if TYPE_CHECKING:
    from fluxqueue_core import Consumer
    from opentelemetry.metrics import Meter

# The counters of the consumer's events: unit and description of each.
OF_EVENTS = {
    s.LEASES_LOST: ("{lease}", "Leases that were lost."),
    s.EXPIRED: ("{task}", "Tasks that ended without an attempt, because they have expired."),
    s.CANCELLED: ("{task}", "Tasks that ended without an attempt, because they were cancelled."),
}


class WorkerMetrics:
    """The metrics of the conventions and our own, for one worker process."""

    def __init__(self, meter: Meter, server: Mapping[str, Any], options: Options) -> None:
        self._meter = meter
        self._slots = options.concurrency
        of_queue = {
            queue: {
                s.SYSTEM: s.SYSTEM_FLUXQUEUE,
                s.DESTINATION_NAME: queue,
                **server,
            }
            for queue in options.queues
        }
        self._of_operation = {
            operation: {
                queue: {**attributes, s.OPERATION_NAME: operation}
                for queue, attributes in of_queue.items()
            }
            for operation in (s.PROCESS, *s.SETTLING)
        }
        for operation in s.SETTLING:
            for attributes in self._of_operation[operation].values():
                attributes[s.OPERATION_TYPE] = s.TYPE_SETTLE
        consumed, retries = Tally(), Tally()
        of_process = self._of_operation[s.PROCESS]
        self._consumed = {queue: consumed.count(of_process[queue]) for queue in of_queue}
        self._retries = {queue: retries.count(of_queue[queue]) for queue in of_queue}
        # The counters of the consumer's events, by metric and queue.
        of_events = {name: Tally() for name in OF_EVENTS}
        self._of_events = {
            name: {queue: tally.count(of_queue[queue]) for queue in of_queue}
            for name, tally in of_events.items()
        }
        self._histograms = histograms = Histograms(meter)
        self._process = histograms.create(
            s.PROCESS_DURATION, "How long an attempt took, to its settling.", s.DURATION_BUCKETS
        )
        self._settle = histograms.create(
            s.OPERATION_DURATION, "How long an operation of the client took.", s.DURATION_BUCKETS
        )
        wait = histograms.create(
            s.WAIT_DURATION,
            "From enqueueing to the beginning of the first attempt.",
            s.LONG_BUCKETS,
        )
        self._known: dict[tuple[Histogram, str, str, str | None], Series] = {}
        self._wait = {queue: wait.series(of_queue[queue]) for queue in options.queues}
        meter.create_observable_counter(
            s.CONSUMED_MESSAGES,
            [self._flush, consumed.observe],
            "{message}",
            "Tasks that were delivered to the application.",
        )
        meter.create_observable_counter(
            s.RETRIES, [retries.observe], "{task}", "Failures that are tried again."
        )
        for name, (unit, description) in OF_EVENTS.items():
            meter.create_observable_counter(name, [of_events[name].observe], unit, description)

    def _flush(self, options: CallbackOptions) -> Iterable[Observation]:
        self._histograms.flush()
        return ()

    def watch(self, consumer: Consumer) -> None:
        """Observes how busy the consumer is."""

        def busy(options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(consumer.running)]

        def slots(options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(self._slots)]

        self._meter.create_observable_up_down_counter(
            s.SLOTS_BUSY, [busy], "{task}", "Tasks that run now."
        )
        self._meter.create_observable_up_down_counter(
            s.SLOTS, [slots], "{task}", "Tasks that may run at once."
        )

    def watch_stuck(self, stuck: Callable[[], int]) -> None:
        """Observes how many tasks did not end at their timeout."""

        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(stuck())]

        self._meter.create_observable_up_down_counter(
            s.TASKS_STUCK, [observe], "{task}", "Tasks that did not end at their timeout."
        )

    def began(self, recording: Recording) -> None:
        """Counts an attempt that begins."""
        attempt = recording.attempt
        queue = attempt.queue
        self._consumed[queue].add()
        if attempt.retries == 0 and attempt.deliveries == 0:
            waited = max(time() - attempt.enqueued_at / 1000, 0.0)
            self._wait[queue].record(waited, recording.context, recording.sampled)

    def ended(
        self,
        recording: Recording,
        operation: str,
        seconds: float,
        settled_in: float,
        error: str | None,
        void: str | None,
    ) -> None:
        """Measures an attempt that has ended and is settled.

        Args:
            seconds, settled_in: how long the attempt took, and its settling.
            error, void: the `error.type` of the attempt, and of its settling.
        """
        queue = recording.attempt.queue
        if void is None and operation == s.RETRY:
            self._retries[queue].add()
        context, sampled = recording.context, recording.sampled
        self._series(self._process, s.PROCESS, queue, error).record(seconds, context, sampled)
        self._series(self._settle, operation, queue, void).record(settled_in, context, sampled)

    def _series(
        self, histogram: Histogram, operation: str, queue: str, error: str | None
    ) -> Series:
        series = self._known.get((histogram, operation, queue, error))
        if series is None:
            attributes = self._of_operation[operation][queue]
            if error is not None:
                attributes = {**attributes, s.ERROR_TYPE: error}
            series = histogram.series(attributes)
            self._known[histogram, operation, queue, error] = series
        return series

    def happened(self, metric: str, queue: str) -> None:
        """Counts an event of the queue's consumer; `events.KINDS` names the metric."""
        self._of_events[metric][queue].add()
