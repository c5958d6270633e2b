"""The worker's metrics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Job
from fluxqueue_core.telemetry import instruments
from fluxqueue_core.telemetry import semconv as s
from opentelemetry.metrics import CallbackOptions, Observation

from .options import Options

if TYPE_CHECKING:
    from fluxqueue_core import Consumer
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter


class Tally:
    """Counts by queue, for a counter that is observed: an addition to one of
    the SDK's own costs as much as the rest of a task."""

    def __init__(self, attributes: Mapping[str, Mapping[str, Any]]) -> None:
        self._attributes = attributes
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, queue: str) -> None:
        with self._lock:
            self._counts[queue] += 1

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            counts = dict(self._counts)
        return [Observation(count, self._attributes[queue]) for queue, count in counts.items()]


class WorkerMetrics:
    """The conventions' and our own, of one worker process."""

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
        self._of_queue = of_queue
        self._of_operation = {
            operation: {
                queue: {**attributes, s.OPERATION_NAME: operation}
                for queue, attributes in of_queue.items()
            }
            for operation in (s.PROCESS, s.ACK, s.RETRY, s.DEAD, s.RELEASE)
        }
        for operation in (s.ACK, s.RETRY, s.DEAD, s.RELEASE):
            for attributes in self._of_operation[operation].values():
                attributes[s.OPERATION_TYPE] = s.TYPE_SETTLE
        self._consumed = Tally(self._of_operation[s.PROCESS])
        self._retries = Tally(of_queue)
        self._leases_lost = Tally(of_queue)
        self._process = instruments.duration_histogram(
            meter, s.PROCESS_DURATION, "How long an attempt took, to its settling."
        )
        self._settle = instruments.duration_histogram(
            meter, s.OPERATION_DURATION, "How long an operation of the client took."
        )
        self._wait = meter.create_histogram(
            s.WAIT_DURATION,
            unit="s",
            description="From enqueueing to the beginning of the first attempt.",
            explicit_bucket_boundaries_advisory=list(s.LONG_BUCKETS),
        )
        meter.create_observable_counter(
            s.CONSUMED_MESSAGES,
            [self._consumed.observe],
            "{message}",
            "Tasks that were delivered to the application.",
        )
        meter.create_observable_counter(
            s.RETRIES, [self._retries.observe], "{task}", "Failures that are tried again."
        )
        meter.create_observable_counter(
            s.LEASES_LOST, [self._leases_lost.observe], "{lease}", "Leases that were lost."
        )

    def watch(self, consumer: Consumer) -> None:
        """Shows how busy the consumer is."""

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
        """Shows how many tasks are past their timeout and can't be ended."""

        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(stuck())]

        self._meter.create_observable_up_down_counter(
            s.TASKS_STUCK, [observe], "{task}", "Tasks that did not end at their timeout."
        )

    def began(self, job: Job) -> None:
        """An attempt begins."""
        self._consumed.add(job.queue)
        if job.retries == 0 and job.deliveries == 0:
            waited = max(time() - job.enqueued_at / 1000, 0.0)
            self._wait.record(waited, self._of_queue[job.queue])

    def ended(
        self,
        job: Job,
        operation: str,
        seconds: float,
        settled_in: float,
        error: str | None,
        void: str | None,
        context: Context,
    ) -> None:
        """An attempt has ended and is settled.

        Args:
            seconds, settled_in: of all of it, and of the call that settled it.
            error, void: `error.type` of the one and of the other.
        """
        queue = job.queue
        process = self._of_operation[s.PROCESS][queue]
        settle = self._of_operation[operation][queue]
        if error is not None:
            process = {**process, s.ERROR_TYPE: error}
        if void is not None:
            settle = {**settle, s.ERROR_TYPE: void}
        elif operation == s.RETRY:
            self._retries.add(queue)
        self._process.record(seconds, process, context)
        self._settle.record(settled_in, settle, context)

    def lease_lost(self, queue: str) -> None:
        """Somebody else has this worker's tasks of the queue."""
        self._leases_lost.add(queue)
