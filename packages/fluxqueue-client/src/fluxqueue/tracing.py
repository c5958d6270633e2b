"""Spans, headers and metrics of what is enqueued. Imported only where an
OpenTelemetry SDK is set up; docs/telemetry.md has what it records."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Producer, Route, new_task_id
from fluxqueue_core.telemetry import instruments, propagation
from fluxqueue_core.telemetry import semconv as s
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, TraceFlags, get_current_span

if TYPE_CHECKING:
    import asyncio

    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Tracer

Stamp = Callable[[], tuple[bytes | None, str | None]]
# Links that the span of a bulk call has at most; the SDK keeps 128 by default.
MOST_LINKS = 128


class Tracing:
    """What is recorded, with the tracer and meter of the process."""

    def __init__(self, tracer: Tracer, meter: Meter | None) -> None:
        self.tracer = tracer
        self.creates = instruments.switch(s.CREATE_SPANS_VARIABLE, default=True)
        self.carries_baggage = instruments.switch(s.BAGGAGE_VARIABLE, default=False)
        self.exceptions = instruments.Exceptions()
        self.metrics = None if meter is None else SendMetrics(meter)
        # Metrics count what is not sampled as well.
        self._skips = meter is None and instruments.follows_unsampled_parents(tracer)

    @classmethod
    def of_process(cls) -> Tracing | None:
        """That of the providers that are set; None where they do nothing."""
        tracer = instruments.get_tracer()
        return None if tracer is None else cls(tracer, instruments.get_meter())

    def enqueue(
        self, producer: Producer, route: Route, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """`Producer.enqueue`, recorded."""
        if (headers := self._unsampled()) is not None:
            producer.enqueue(route, args, kwargs, headers)
            return
        sending = Sending(self, producer, route, new_task_id())
        try:
            producer.enqueue(route, args, kwargs, sending.headers(), sending.task_id)
        except BaseException as error:
            sending.failed(error)
            raise
        sending.end()

    def enqueue_async(
        self, producer: Producer, route: Route, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> asyncio.Future[None]:
        """`Producer.enqueue_async`, recorded until Redis has answered."""
        if (headers := self._unsampled()) is not None:
            return producer.enqueue_async(route, args, kwargs, headers)
        sending = Sending(self, producer, route, new_task_id())
        try:
            future = producer.enqueue_async(route, args, kwargs, sending.headers(), sending.task_id)
        except RuntimeError:
            raise  # no event loop: the call comes again, and this span never ends
        except BaseException as error:
            sending.failed(error)
            raise
        future.add_done_callback(sending.settled)
        return future

    def bulk(self, producer: Producer, route: Route) -> BulkSending:
        """For one call that sends many tasks."""
        return BulkSending(self, producer, route, self._unsampled())

    def _unsampled(self) -> bytes | None:
        """The headers of a call inside a trace that is not recorded; None where
        there is something to record."""
        if not self._skips:
            return None
        context = get_current_span().get_span_context()
        _, _, _, flags, _, is_valid = context
        if not is_valid or flags & TraceFlags.SAMPLED:
            return None
        return propagation.headers(context, self.baggage() if self.carries_baggage else None)

    def baggage(self) -> Context | None:
        """The context whose baggage travels with a message."""
        return otel_context.get_current() if self.carries_baggage else None


class SendMetrics:
    """The conventions' metrics of a producer."""

    def __init__(self, meter: Meter) -> None:
        self._sent = meter.create_counter(
            s.SENT_MESSAGES, unit="{message}", description="Tasks that were to be enqueued."
        )
        self._duration = instruments.duration_histogram(
            meter, s.OPERATION_DURATION, "How long an operation of the client took."
        )

    def record(self, count: int, seconds: float, attributes: dict[str, Any]) -> None:
        """One operation that has ended, with or without `error.type`."""
        # The conventions have no type of operation here.
        self._sent.add(count, {k: v for k, v in attributes.items() if k != s.OPERATION_TYPE})
        self._duration.record(seconds, attributes)


class Sending:
    """One operation `enqueue`, from its span's start to its end.

    Args:
        task_id: None for a bulk, which has many.
        kind: PRODUCER where the span's own context travels in the message.
    """

    def __init__(
        self,
        tracing: Tracing,
        producer: Producer,
        route: Route,
        task_id: str | None,
        kind: SpanKind = SpanKind.PRODUCER,
    ) -> None:
        self.task_id = task_id
        self._tracing = tracing
        self._started = perf_counter()
        self._count = 1
        # What metrics have as well.
        self._common = {
            s.SYSTEM: s.SYSTEM_FLUXQUEUE,
            s.OPERATION_NAME: s.ENQUEUE,
            s.OPERATION_TYPE: s.TYPE_SEND,
            s.DESTINATION_NAME: route.queue,
            **instruments.server_attributes(*producer.server),
        }
        self._of_span = {
            **self._common,
            s.TASK_NAME: route.name,
            s.CLIENT_ID: instruments.client_id(),
        }
        attributes = dict(self._of_span)
        if task_id is not None:
            attributes[s.MESSAGE_ID] = task_id
        self.span: Span = tracing.tracer.start_span(
            f"{s.ENQUEUE} {route.queue}", kind=kind, attributes=attributes
        )

    def headers(self) -> bytes:
        """With the span's own context."""
        return propagation.headers(self.span.get_span_context(), self._tracing.baggage())

    def settled(self, future: asyncio.Future[None]) -> None:
        """The future of an async call is done."""
        if future.cancelled():
            self.cancelled()
        elif (error := future.exception()) is not None:
            self.failed(error)
        else:
            self.end()

    def cancelled(self) -> None:
        """The caller has withdrawn the call."""
        import asyncio

        self.failed(asyncio.CancelledError("the call was cancelled"))

    def failed(self, error: BaseException) -> None:
        """It has ended with an error."""
        if self.span.is_recording():
            context = Context({propagation.SPAN_KEY: self.span})
            trace = "".join(traceback.format_exception(error))
            self._tracing.exceptions.record(self.span, context, s.TYPE_SEND, error, trace)
        self.end({s.ERROR_TYPE: instruments.error_type(error)})

    def end(self, more: dict[str, Any] | None = None) -> None:
        """It has ended; `more` are further attributes of its metrics."""
        self.span.end()
        if (metrics := self._tracing.metrics) is not None:
            attributes = self._common if more is None else self._common | more
            seconds = perf_counter() - self._started
            metrics.record(self._count, seconds, attributes)


class BulkSending(Sending):
    """One bulk call. `stamp` is called for each of its messages.

    Attributes:
        count: how many messages there have been.
    """

    def __init__(
        self, tracing: Tracing, producer: Producer, route: Route, unsampled: bytes | None
    ) -> None:
        self.count = 0
        self._headers = unsampled
        self._recorded = unsampled is None
        if not self._recorded:
            return
        own_context = not tracing.creates
        kind = SpanKind.PRODUCER if own_context else SpanKind.CLIENT
        super().__init__(tracing, producer, route, None, kind)
        self._creates = tracing.creates and self.span.is_recording()
        self._create_name = f"{s.CREATE} {route.queue}"
        self._create_attributes = {
            **self._of_span,
            s.OPERATION_NAME: s.CREATE,
            s.OPERATION_TYPE: s.TYPE_CREATE,
        }
        # The messages' spans are beside this one, not below it.
        self._around = otel_context.get_current()
        if not self._creates:
            self._headers = self.headers()

    def stamp(self) -> tuple[bytes | None, str | None]:
        """Headers and id of the next message."""
        self.count += 1
        if self._headers is not None:
            return self._headers, None
        task_id = new_task_id()
        span = self._tracing.tracer.start_span(
            self._create_name,
            self._around,
            SpanKind.PRODUCER,
            {**self._create_attributes, s.MESSAGE_ID: task_id},
        )
        context = span.get_span_context()
        span.end()
        if self.count <= MOST_LINKS:
            self.span.add_link(context)
        return propagation.headers(context, self._tracing.baggage()), task_id

    def failed(self, error: BaseException) -> None:
        if self._recorded:
            super().failed(error)

    def end(self, more: dict[str, Any] | None = None) -> None:
        if self._recorded:
            self._count = self.count
            self.span.set_attribute(s.BATCH_MESSAGE_COUNT, self.count)
            super().end(more)
