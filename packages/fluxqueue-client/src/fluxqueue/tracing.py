"""Spans, headers and metrics of enqueued tasks: a middleware. Imported only if an
OpenTelemetry SDK is set up; docs/telemetry.md describes what it records."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from fluxqueue_core import Producer, Route, json_codec, new_task_id
from fluxqueue_core.telemetry import instruments, propagation
from fluxqueue_core.telemetry import semconv as s
from fluxqueue_core.telemetry.histograms import Histograms, Series
from fluxqueue_core.telemetry.propagation import SAMPLED, SPAN_KEY
from fluxqueue_core.telemetry.spans import Spans, finish
from fluxqueue_core.telemetry.tally import Count, Tally
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, SpanContext, SpanKind

from .enqueue_interface import Bulk, CallLimit, CallLock, Enqueue, EnqueueAsync, PerCall

if TYPE_CHECKING:
    import asyncio

    from opentelemetry.metrics import CallbackOptions, Meter, Observation
    from opentelemetry.trace import Tracer

# The most links that the span of a bulk call gets; the SDK keeps 128 by default.
MOST_LINKS = 128
# Tasks whose names and attributes are kept. An application has far fewer, but one
# that makes up new tasks all the time must not fill the memory.
MOST_TASKS = 1000


def joined(own: bytes, given: bytes) -> bytes:
    """Returns the headers of telemetry and of the caller together; the caller's win."""
    return json_codec.dumps({**json_codec.loads(own), **json_codec.loads(given)})


class TaskAttributes:
    """The names and attributes that all calls of a task share.

    Attributes:
        name, attributes: of its spans `enqueue`.
        create_name, create_attributes: of its spans `create`.
        of_counts, of_durations: the attributes of its measurements, which all tasks
            of a queue share.
        series: the queue with its server and namespace: the key of those measurements.
    """

    def __init__(self, producer: Producer, route: Route, *, names_task: bool) -> None:
        self.producer = producer
        queue = route.queue
        self.series = (queue, *producer.server, producer.namespace)
        common = {
            s.SYSTEM: s.SYSTEM_FLUXQUEUE,
            s.DESTINATION_NAME: queue,
            **instruments.broker_attributes(producer),
        }
        task = {s.TASK_NAME: route.name}
        # The conventions give the type of an operation to durations only.
        self.of_counts = common | {s.OPERATION_NAME: s.ENQUEUE}
        self.of_durations = self.of_counts | {s.OPERATION_TYPE: s.TYPE_SEND}
        named = route.name if names_task else queue
        self.name = f"{s.ENQUEUE} {named}"
        self.attributes = self.of_durations | task
        self.create_name = f"{s.CREATE} {named}"
        create = {s.OPERATION_NAME: s.CREATE, s.OPERATION_TYPE: s.TYPE_CREATE}
        self.create_attributes = common | create | task


class Tracing:
    """Records enqueued tasks with the tracer and meter of the process."""

    def __init__(self, tracer: Tracer, meter: Meter | None) -> None:
        self.spans = Spans(tracer)
        self.creates = instruments.switch(s.CREATE_SPANS_VARIABLE, default=True)
        self.carries_baggage = instruments.switch(s.BAGGAGE_VARIABLE, default=False)
        self._names_task = instruments.switch(s.TASK_SPAN_NAMES_VARIABLE, default=False)
        self.exceptions = instruments.Exceptions()
        self.metrics = None if meter is None else SendMetrics(meter)
        # Below an unsampled parent the tracer records nothing, so nothing asks it.
        self._skips = instruments.follows_unsampled_parents(tracer)
        self._tasks: dict[Route, TaskAttributes] = {}
        # Calls with options have other routes of the same task, some of them one for each call.
        self._by_name: dict[tuple[str, str], TaskAttributes] = {}

    @classmethod
    def of_process(cls) -> Tracing | None:
        """Makes the middleware for the providers that are set; None if they do nothing."""
        tracer = instruments.get_tracer()
        return None if tracer is None else cls(tracer, instruments.get_meter())

    def around_enqueue(self, producer: Producer) -> Enqueue:
        """Returns `Producer.enqueue` with a record of each call."""
        begin, enqueue = self._begin, producer.enqueue

        def traced(
            route: Route,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            headers: bytes | None = None,
            task_id: str | None = None,
            lock: CallLock | None = None,
            limit: CallLimit | None = None,
        ) -> str | None:
            own, sending = begin(producer, route, task_id)
            headers = own if headers is None else joined(own, headers)
            if sending is None:
                return enqueue(route, args, kwargs, headers, task_id, lock, limit)
            try:
                present = enqueue(route, args, kwargs, headers, sending.task_id, lock, limit)
            except BaseException as error:
                sending.failed(error)
                raise
            sending.end()
            return present

        return traced

    def around_enqueue_async(self, producer: Producer) -> EnqueueAsync:
        """Returns `Producer.enqueue_async` with a record of each call until Redis has
        answered."""
        begin, enqueue = self._begin, producer.enqueue_async

        def traced(
            route: Route,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            headers: bytes | None = None,
            task_id: str | None = None,
            result: Any = None,
            lock: CallLock | None = None,
            limit: CallLimit | None = None,
        ) -> asyncio.Future[Any]:
            own, sending = begin(producer, route, task_id)
            headers = own if headers is None else joined(own, headers)
            if sending is None:
                return enqueue(route, args, kwargs, headers, task_id, result, lock, limit)
            try:
                future = enqueue(route, args, kwargs, headers, sending.task_id, result, lock, limit)
            except RuntimeError:
                raise  # no event loop: the task enqueues it in another way; this span never ends
            except BaseException as error:
                sending.failed(error)
                raise
            future.add_done_callback(sending.settled)
            return future

        return cast("EnqueueAsync", traced)

    def bulk(self, producer: Producer, route: Route) -> BulkSending:
        """Begins a call that sends many tasks."""
        around = get_current()
        return BulkSending(self, self._task(producer, route), around, self.parent(around))

    def _begin(
        self, producer: Producer, route: Route, task_id: str | None
    ) -> tuple[bytes, Sending | None]:
        """Returns the headers of a call, and its record. None: nothing records it."""
        around = get_current()
        metrics = self.metrics
        parent: SpanContext | None = None
        if (caller := around.get(SPAN_KEY)) is not None:
            parent = caller.get_span_context()  # type: ignore[attr-defined]  # it is a Span
            _, _, _, flags, _, is_valid = parent
            if not is_valid:
                parent = None
            elif self._skips and not flags & SAMPLED:
                headers = propagation.headers(parent, around if self.carries_baggage else None)
                if metrics is None:
                    return headers, None
                return headers, Sending(self, self._task(producer, route), around, task_id=task_id)
        task = self._task(producer, route)
        task_id = task_id or new_task_id()
        attributes = {
            **task.attributes,
            s.CLIENT_ID: instruments.client_id(),
            s.MESSAGE_ID: task_id,
        }
        span = self.spans.start(task.name, parent, SpanKind.PRODUCER, attributes, around=around)
        headers = self.headers(span.get_span_context())
        if metrics is None and not span.is_recording():
            return headers, None
        return headers, Sending(self, task, around, span, task_id)

    def _task(self, producer: Producer, route: Route) -> TaskAttributes:
        task = self._tasks.get(route)
        if task is None or task.producer is not producer:
            if len(self._tasks) >= MOST_TASKS:
                self._tasks.clear()
                self._by_name.clear()
            key = (route.queue, route.name)
            task = self._by_name.get(key)
            if task is None or task.producer is not producer:
                task = TaskAttributes(producer, route, names_task=self._names_task)
                self._by_name[key] = task
            self._tasks[route] = task
        return task

    def parent(self, around: Context) -> SpanContext | None:
        """Returns the caller's span, if there is one."""
        span = around.get(SPAN_KEY)
        if not isinstance(span, Span):
            return None
        parent = span.get_span_context()
        return parent if parent[5] else None  # whether it is valid

    def leaves_out(self, parent: SpanContext) -> bool:
        """Whether the tracer records no calls below this span."""
        return self._skips and not parent[3] & SAMPLED

    def headers(self, span: SpanContext) -> bytes:
        """Returns the headers of a message: this span's context and the caller's baggage."""
        return propagation.headers(span, get_current() if self.carries_baggage else None)


class SendMetrics:
    """The metrics of a producer in OpenTelemetry's conventions."""

    def __init__(self, meter: Meter) -> None:
        self._histograms = Histograms(meter)
        self._duration = self._histograms.create(
            s.OPERATION_DURATION, "How long an operation of the client took.", s.DURATION_BUCKETS
        )
        self._sent = Tally()
        self._known: dict[Any, tuple[Count, Series]] = {}
        self._lock = threading.Lock()
        meter.create_observable_counter(
            s.SENT_MESSAGES,
            [self._flush, self._sent.observe],
            "{message}",
            "Tasks that were to be enqueued.",
        )

    def _flush(self, options: CallbackOptions) -> Iterable[Observation]:
        self._histograms.flush()
        return ()

    def record(
        self,
        task: TaskAttributes,
        count: int,
        seconds: float,
        error: str | None,
        context: Context,
        sampled: SpanContext | None,
    ) -> None:
        """Records an operation that has ended. `error` is its `error.type`, if it failed."""
        sent, duration = self._known.get((task.series, error)) or self._new(task, error)
        sent.add(count)
        duration.record(seconds, context, sampled)

    def _new(self, task: TaskAttributes, error: str | None) -> tuple[Count, Series]:
        more = {} if error is None else {s.ERROR_TYPE: error}
        with self._lock:
            key = (task.series, error)
            if key not in self._known:
                self._known[key] = (
                    self._sent.count(task.of_counts | more),
                    self._duration.series(task.of_durations | more),
                )
            return self._known[key]


class Sending:
    """One operation `enqueue`, from its start to its end.

    Args:
        around: the caller's context.
        span: None if only metrics are recorded.
        task_id: None if the core makes it, and for a bulk call, which has many.
    """

    def __init__(
        self,
        tracing: Tracing,
        task: TaskAttributes,
        around: Context,
        span: Span | None = None,
        task_id: str | None = None,
    ) -> None:
        self.task_id = task_id
        self._tracing = tracing
        self._task = task
        self._around = around
        self._span = span
        self._started = perf_counter()
        self._count = 1

    def settled(self, future: asyncio.Future[None]) -> None:
        """Ends the operation when the future of its call is done."""
        if future.cancelled():
            self.cancelled()
        elif (error := future.exception()) is not None:
            self.failed(error)
        else:
            self.end()

    def cancelled(self) -> None:
        """Ends an operation whose call was cancelled."""
        import asyncio

        self.failed(asyncio.CancelledError("the call was cancelled"))

    def failed(self, error: BaseException) -> None:
        """Ends the operation with an error."""
        span = self._span
        if span is not None and span.is_recording():
            context = Context({SPAN_KEY: span})
            trace = "".join(traceback.format_exception(error))
            self._tracing.exceptions.record(span, context, s.TYPE_SEND, error, trace)
        self.end(instruments.error_type(error))

    def end(self, error: str | None = None) -> None:
        """Ends the operation; `error` is the `error.type` of its metrics."""
        if self._span is not None:
            finish(self._span)
        if (metrics := self._tracing.metrics) is not None:
            seconds = perf_counter() - self._started
            around = self._around
            sampled = self._tracing.parent(around)
            if sampled is not None and not sampled[3] & SAMPLED:
                sampled = None
            metrics.record(self._task, self._count, seconds, error, around, sampled)


class BulkSending(Sending, Bulk):
    """One bulk call. The core calls `per_call` for each of its messages.

    Attributes:
        count: the number of messages so far.
    """

    def __init__(
        self, tracing: Tracing, task: TaskAttributes, around: Context, parent: SpanContext | None
    ) -> None:
        super().__init__(tracing, task, around)
        self.count = 0
        self._parent = parent
        self._creates = False
        if parent is not None and tracing.leaves_out(parent):
            self._headers = tracing.headers(parent)
            return
        kind = SpanKind.CLIENT if tracing.creates else SpanKind.PRODUCER
        self._client = {s.CLIENT_ID: instruments.client_id()}
        attributes = task.attributes | self._client
        span = tracing.spans.start(task.name, parent, kind, attributes, around=around)
        self._span = span
        # The messages' spans are siblings of this one, not its children.
        self._creates = tracing.creates and span.is_recording()
        self._headers = tracing.headers(span.get_span_context())

    @property
    def per_call(self) -> Callable[[bytes | None, str | None], PerCall]:
        return self._next

    def _next(self, headers: bytes | None, task_id: str | None) -> PerCall:
        """Returns the headers and the id of the next message."""
        own, task_id = self._own(task_id)
        return own if headers is None else joined(own, headers), task_id

    def _own(self, task_id: str | None) -> tuple[bytes, str | None]:
        self.count += 1
        if not self._creates:
            return self._headers, task_id
        task_id = task_id or new_task_id()
        tracing, task = self._tracing, self._task
        span = tracing.spans.start(
            task.create_name,
            self._parent,
            SpanKind.PRODUCER,
            {**task.create_attributes, **self._client, s.MESSAGE_ID: task_id},
            around=self._around,
        )
        context = span.get_span_context()
        finish(span)
        if self.count <= MOST_LINKS and self._span is not None:
            self._span.add_link(context)
        return tracing.headers(context), task_id

    def end(self, error: str | None = None) -> None:
        self._count = self.count
        if self._span is not None:
            self._span.set_attribute(s.BATCH_MESSAGE_COUNT, self.count)
        super().end(error)
