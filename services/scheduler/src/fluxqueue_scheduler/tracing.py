"""Spans and metrics of `promote` and `rescue`, with links to the traces of the moved
tasks. Imported only if there is an OpenTelemetry SDK."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Producer, Settings, parse_message
from fluxqueue_core.errors import MalformedMessage
from fluxqueue_core.telemetry import instruments, propagation
from fluxqueue_core.telemetry import semconv as s
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Tracer

# Moved tasks to whose traces one span has links.
MOST_LINKS = 32


class Tracing:
    """Records what was moved.

    Attributes:
        meter: None if there are no metrics.
        most_links: how many of the moved messages `promoted` can use.
        server: the attributes that say where Redis is.
    """

    most_links = MOST_LINKS

    def __init__(self, tracer: Tracer | None, meter: Meter | None, server: dict[str, Any]) -> None:
        self._tracer = tracer
        self.meter = meter
        self.server = server
        self._promoted = self._rescued = self._rescue_duration = None
        if meter is not None:
            self._promoted = meter.create_counter(
                s.PROMOTED, unit="{task}", description="Tasks that became due."
            )
            self._rescued = meter.create_counter(
                s.RESCUED, unit="{task}", description="Tasks taken from lost workers."
            )
            self._rescue_duration = meter.create_histogram(
                s.RESCUE_DURATION,
                unit="s",
                description="From the end of a worker's lease until its tasks are back.",
                explicit_bucket_boundaries_advisory=list(s.LONG_BUCKETS),
            )

    @classmethod
    def of_process(cls, settings: Settings) -> Tracing:
        """Makes one with the providers of this process."""
        server = instruments.broker_attributes(Producer(settings))
        return cls(instruments.get_tracer(), instruments.get_meter(), server)

    def promoted(self, queue: str, count: int, messages: Sequence[bytes], started: int) -> None:
        """Records that due tasks were moved.

        Args:
            count: how many tasks.
            messages: some of them, up to `most_links`.
            started: when the call began, in nanoseconds since 1970.
        """
        if self._promoted is not None:
            self._promoted.add(count, self._of_metrics(queue))
        self._span(s.PROMOTE, queue, count, messages, started, {})

    def rescue(self, queue: str, consumer: str) -> RescueTrace:
        """Returns what records the rescue of one lost consumer."""
        return RescueTrace(self, queue, consumer)

    def rescued(self, queue: str, count: int) -> None:
        """Records that `count` tasks were taken from a lost worker."""
        if self._rescued is not None:
            self._rescued.add(count, self._of_metrics(queue))

    def rescue_took(self, queue: str, seconds: float) -> None:
        """Records that a batch is back, `seconds` after the end of the lease."""
        if self._rescue_duration is not None:
            self._rescue_duration.record(seconds, self._of_metrics(queue))

    def _of_metrics(self, queue: str) -> dict[str, Any]:
        return {s.SYSTEM: s.SYSTEM_FLUXQUEUE, s.DESTINATION_NAME: queue, **self.server}

    def _span(
        self,
        operation: str,
        queue: str,
        count: int,
        messages: Sequence[bytes],
        started: int,
        more: Mapping[str, Any],
    ) -> None:
        """Makes one span, if a trace of one of these tasks is recorded. The span of a
        single task is part of the task's trace; the span of several tasks has its own
        trace, with links to theirs."""
        if self._tracer is None:
            return
        contexts = [c for m in messages[:MOST_LINKS] if (c := _creation(m)) is not None]
        if not contexts:
            return
        attributes = {
            s.SYSTEM: s.SYSTEM_FLUXQUEUE,
            s.OPERATION_NAME: operation,
            s.DESTINATION_NAME: queue,
            **self.server,
            s.CLIENT_ID: instruments.client_id(),
            **more,
        }
        parent = Context()
        if count == 1:
            parent = Context({propagation.SPAN_KEY: NonRecordingSpan(contexts[0])})
            attributes[s.MESSAGE_ID] = parse_message(messages[0])["task_id"]
        else:
            attributes[s.BATCH_MESSAGE_COUNT] = count
        try:
            self._tracer.start_span(
                f"{operation} {queue}",
                parent,
                SpanKind.INTERNAL,
                attributes,
                [Link(context) for context in contexts],
                started,
            ).end()
        except Exception:  # noqa: BLE001 - from a processor of the application
            instruments.failed_once()


class RescueTrace:
    """Records the rescue of one consumer's tasks."""

    def __init__(self, tracing: Tracing, queue: str, consumer: str) -> None:
        self._tracing = tracing
        self._queue = queue
        self._consumer = consumer
        self._lease_ended: float | None = None

    def began(self, client: RedisClient) -> None:
        """Notes that a batch is about to move. The first time, asks Redis since when the
        consumer has been late."""
        if self._lease_ended is not None or self._tracing.meter is None:
            return
        score, now = client.commands(
            [("ZSCORE", client.key("consumers", self._queue), self._consumer), ("TIME",)]
        )
        late = 0.0
        if isinstance(score, bytes) and isinstance(now, list | tuple):
            late = int(now[0]) + int(now[1]) / 1e6 - float(score) / 1e3
        self._lease_ended = time.monotonic() - max(late, 0.0)

    def moved(self, messages: Sequence[bytes], home: int, dead: int, started: int) -> None:
        """Records a moved batch.

        Args:
            messages: the messages of the batch.
            home: how many returned to their list.
            dead: how many are dead.
            started: when the call began, in nanoseconds since 1970.
        """
        if not home + dead:
            return  # another scheduler was faster
        tracing = self._tracing
        tracing.rescued(self._queue, home + dead)
        if self._lease_ended is not None:
            tracing.rescue_took(self._queue, time.monotonic() - self._lease_ended)
        more: dict[str, Any] = {s.CONSUMER: self._consumer, s.REASON: "worker_lost"}
        if dead:
            more[s.DEAD_COUNT] = dead
        tracing._span(s.RESCUE, self._queue, home + dead, messages, started, more)


def _creation(message: bytes) -> SpanContext | None:
    """Returns the context of the message's creation, if its trace is recorded."""
    try:
        headers = parse_message(message)["headers"]
    except MalformedMessage:
        return None
    if not headers or s.TRACEPARENT not in headers:
        return None
    context = propagation.parse(headers[s.TRACEPARENT], headers.get(s.TRACESTATE))
    return context if context is not None and context.trace_flags.sampled else None
