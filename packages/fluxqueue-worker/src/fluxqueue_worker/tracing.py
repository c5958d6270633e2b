"""Spans and metrics of a worker's attempts: a middleware. Imported only if an
OpenTelemetry SDK is set up; docs/telemetry.md has the tables.

Why: docs/decisions/0020-attempts-are-children-of-their-creation.md
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Attempt, Event, Producer, Settings
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.telemetry import instruments, propagation
from fluxqueue_core.telemetry import semconv as s
from fluxqueue_core.telemetry.propagation import (
    FLAGS,
    NOT_SAMPLED,
    SAMPLED,
    SPAN_KEY,
    TASK_ID_KEY,
    RemoteSpan,
)
from fluxqueue_core.telemetry.spans import NO_ATTRIBUTES, Spans, finish
from opentelemetry.context import Context, attach
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
)

from .error_text import own_frame
from .events import KINDS
from .failure_text import FailureText
from .middleware import Run, Runnable, Settle
from .options import Options
from .outcome import Dead, Outcome, Retried, Snoozed
from .recording import Recording
from .tracing_metrics import WorkerMetrics

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

PARENT = "parent"
LINK = "link"
LEASE_LOST = "lease_lost"
NO_HEADERS = (None, None, None)
VOID = Status(StatusCode.ERROR, "the lease was lost: another worker has the task")


class Tracing:
    """Begins and ends attempts. Any thread calls its methods.

    Attributes:
        metrics: None without a meter.
        attempts: the recorded attempts that are not settled.
    """

    def __init__(
        self,
        tracer: Tracer | None,
        metrics: WorkerMetrics | None,
        server: Mapping[str, Any],
        queues: tuple[str, ...],
        process_parent: str,
    ) -> None:
        self._spans = None if tracer is None else Spans(tracer)
        self.metrics = metrics
        self.recordings: dict[Attempt, Recording] = {}
        self._is_child = process_parent == PARENT
        self._names_task = instruments.switch(s.TASK_SPAN_NAMES_VARIABLE, default=False)
        self._exceptions = instruments.Exceptions()
        # Below an unsampled parent the tracer records nothing, so nothing asks it.
        self._skips_unsampled = self._is_child and instruments.follows_unsampled_parents(tracer)
        # The span names and attributes that all tasks of a queue share.
        self._names = {
            operation: {queue: f"{operation} {queue}" for queue in queues}
            for operation in (s.PROCESS, *s.SETTLING)
        }
        self._attributes = {
            operation: {
                queue: {
                    s.SYSTEM: s.SYSTEM_FLUXQUEUE,
                    s.OPERATION_NAME: operation,
                    s.OPERATION_TYPE: s.TYPE_PROCESS if operation == s.PROCESS else s.TYPE_SETTLE,
                    s.DESTINATION_NAME: queue,
                    **server,
                }
                for queue in queues
            }
            for operation in self._names
        }

    @classmethod
    def of_process(cls, options: Options, settings: Settings) -> Tracing | None:
        """Makes one for the providers that are set; None if they do nothing.

        Raises:
            ConfigurationError: the switch for parent or link has another value.
        """
        tracer, meter = instruments.get_tracer(), instruments.get_meter()
        if tracer is None and meter is None:
            return None
        server = instruments.broker_attributes(Producer(settings))
        metrics = None if meter is None else WorkerMetrics(meter, server, options)
        # No attribute of metrics: it would multiply their series.
        client = {s.CLIENT_ID: instruments.client_id()}
        return cls(tracer, metrics, {**server, **client}, options.queues, process_parent())

    def begin(self, attempt: Attempt) -> Context:
        """Begins an attempt. Returns the context that the task runs in; `recordings` has
        the attempt from now on, if it is recorded."""
        headers = attempt.trace_headers() or NO_HEADERS
        traceparent, tracestate, baggage = headers
        task_id = attempt.task_id
        if traceparent is not None and self._skips_unsampled and traceparent[FLAGS] in NOT_SAMPLED:
            span: Span = RemoteSpan(headers)
            context = Context({SPAN_KEY: span, TASK_ID_KEY: task_id})
            if baggage is not None:
                context = propagation.with_baggage(context, baggage)
            if self.metrics is None:
                return context
            recording = Recording(attempt, task_id, span, context, None)
        else:
            remote = None if traceparent is None else propagation.parse(traceparent, tracestate)
            if self._spans is not None:
                span = self._start(attempt, task_id, remote)
            else:
                span = INVALID_SPAN if remote is None else NonRecordingSpan(remote)
            context = Context({SPAN_KEY: span, TASK_ID_KEY: task_id})
            if baggage is not None:
                context = propagation.with_baggage(context, baggage)
            own = span.get_span_context()
            recording = Recording(
                attempt, task_id, span, context, own if own[3] & SAMPLED else None
            )
        self.recordings[attempt] = recording
        if self.metrics is not None:
            self.metrics.began(recording)
        return context

    def _start(self, attempt: Attempt, task_id: str, remote: SpanContext | None) -> Span:
        assert self._spans is not None
        queue = attempt.queue
        attributes = {
            **self._attributes[s.PROCESS][queue],
            s.MESSAGE_ID: task_id,
            s.TASK_NAME: attempt.name,
            s.ATTEMPT: attempt.retries + 1,
        }
        if deliveries := attempt.deliveries:
            attributes[s.DELIVERIES] = deliveries
        return self._spans.start(
            self._name(s.PROCESS, queue, attempt.name),
            remote if self._is_child else None,
            SpanKind.CONSUMER,
            attributes,
            () if remote is None else (Link(remote, NO_ATTRIBUTES),),
        )

    def _name(self, operation: str, queue: str, task: str) -> str:
        """The name of a span. A message that can't be read names no task."""
        if self._names_task and task:
            return f"{operation} {task}"
        return self._names[operation][queue]

    def around_run(self, task: Runnable, run: Run) -> Run:
        """Begins an attempt, and runs the task in its context.

        It attaches OpenTelemetry's context in the attempt's own (`attempt_contexts`), in
        which the attempt is also settled and its log line written.
        """
        begin = self.begin

        @own_frame
        def traced(attempt: Attempt, thread_storage: dict[str, Any]) -> Any:
            attach(begin(attempt))
            return run(attempt, thread_storage)

        return traced

    def around_settle(self, settle: Settle) -> Settle:
        """Records how the attempt is settled, and ends it."""
        recordings = self.recordings

        def traced(attempt: Attempt, outcome: Outcome) -> bool:
            recording = recordings.pop(attempt, None)
            if recording is None:
                return settle(attempt, outcome)
            ended = perf_counter()
            settling = self._begin_settling(recording, outcome)
            try:
                counts = settle(attempt, outcome)
            except Exception as error:
                self._settling_failed(recording, settling, error)
                raise
            self._end(recording, outcome, ended, settling, counts)
            return counts

        return traced

    def _begin_settling(self, recording: Recording, outcome: Outcome) -> Span | None:
        """Begins the span of the settling, if the attempt has a span. The task has
        ended."""
        span = recording.span
        if self._spans is None or not span.is_recording():
            return None
        error = outcome.error
        if error is not None:
            # A cancelled attempt has its traceback only here.
            trace = outcome.traceback or FailureText.of(error).traceback
            self._exceptions.record(span, recording.context, s.TYPE_PROCESS, error, trace)
        attempt = recording.attempt
        queue = attempt.queue
        operation = outcome.operation
        attributes = {
            **self._attributes[operation][queue],
            s.MESSAGE_ID: recording.task_id,
            s.TASK_NAME: attempt.name,
        }
        if error is not None or isinstance(outcome, Snoozed):
            attributes |= _of_end(attempt, outcome)
        return self._spans.start(
            self._name(operation, queue, attempt.name),
            span.get_span_context(),
            SpanKind.CLIENT,
            attributes,
            around=recording.context,
        )

    def _end(
        self,
        recording: Recording,
        outcome: Outcome,
        ended: float,
        settling: Span | None,
        counts: bool,
    ) -> None:
        """Ends a settled attempt.

        Args:
            ended: `perf_counter()` when the task's code ended.
            settling: from `_begin_settling`.
            counts: False if the lease was lost and the outcome is void.
        """
        if settling is not None:
            if not counts:
                settling.set_attribute(s.ERROR_TYPE, LEASE_LOST)
                settling.set_status(VOID)
            finish(settling)
        if not counts:
            recording.span.set_attribute(s.OUTCOME_VOID, True)
        finish(recording.span)
        if (metrics := self.metrics) is not None:
            now = perf_counter()
            error = outcome.error
            metrics.ended(
                recording,
                outcome.operation,
                now - recording.started,
                now - ended,
                None if error is None else instruments.error_type(error),
                None if counts else LEASE_LOST,
            )

    def _settling_failed(
        self, recording: Recording, settling: Span | None, error: Exception
    ) -> None:
        """Ends an attempt that the consumer could not settle."""
        if settling is not None:
            context = Context({SPAN_KEY: settling})
            self._exceptions.record(settling, context, s.TYPE_SETTLE, error, repr(error))
            finish(settling)
        finish(recording.span)

    def happened(self, queue: str, event: Event) -> None:
        """Records an event of that queue's consumer: what it counts, and a task that the
        consumer itself settled."""
        kind = KINDS[type(event)]
        if kind.metric is not None and self.metrics is not None:
            self.metrics.happened(kind.metric, queue)
        if kind.settles is None:
            return
        if isinstance(event, Event.UnknownTask):
            more = {s.REASON: "unknown_task", s.DELAY: event.delay}
            self._settled_by_core(queue, event, kind.settles, more)
        elif isinstance(event, Event.Parked):
            self._settled_by_core(queue, event, kind.settles, {s.REASON: event.reason})
        elif isinstance(event, (Event.Expired, Event.Cancelled)):
            self._settled_by_core(queue, event, kind.settles, NO_ATTRIBUTES)

    def _settled_by_core(
        self,
        queue: str,
        event: Event.UnknownTask | Event.Parked | Event.Expired | Event.Cancelled,
        operation: str,
        more: Mapping[str, Any],
    ) -> None:
        remote = propagation.parse(event.traceparent or "")
        if self._spans is None or remote is None or not remote.trace_flags.sampled:
            return
        attributes = {
            **self._attributes[operation][queue],
            s.MESSAGE_ID: event.task_id,
            s.TASK_NAME: event.name,
            **more,
        }
        name = self._name(operation, queue, event.name)
        links = (Link(remote, NO_ATTRIBUTES),)
        finish(self._spans.start(name, remote, SpanKind.CLIENT, attributes, links))


def _of_end(attempt: Attempt, outcome: Outcome) -> Mapping[str, Any]:
    """The attributes of a settling that follows a failure or a snooze."""
    number = {s.ATTEMPT: attempt.retries + 1}
    if isinstance(outcome, Retried | Snoozed):
        return {**number, s.DELAY: round(outcome.delay, 3)}
    if isinstance(outcome, Dead):
        return {**number, s.REASON: outcome.reason}
    return number


def process_parent() -> str:
    """Whether the span of a task's creation is the parent of an attempt's span, or only
    linked from it.

    Raises:
        ConfigurationError: the variable has another value.
    """
    value = os.environ.get(s.PROCESS_PARENT_VARIABLE, "").strip().lower() or PARENT
    if value not in (PARENT, LINK):
        raise ConfigurationError(
            f"variable {s.PROCESS_PARENT_VARIABLE}: {value!r} is neither {PARENT} nor {LINK}"
        )
    return value
