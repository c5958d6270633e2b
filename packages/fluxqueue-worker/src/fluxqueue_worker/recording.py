"""One recorded attempt at a task: what the spans and the metrics of a worker share."""

from __future__ import annotations

from time import perf_counter

from fluxqueue_core import Attempt
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext


class Recording:
    """A recorded attempt, from its beginning to its settling.

    Attributes:
        context: its current span is `span`.
        sampled: the span's own context if the span is sampled.
        started: `perf_counter()` at its beginning.
    """

    __slots__ = ("attempt", "context", "sampled", "span", "started", "task_id")

    def __init__(
        self,
        attempt: Attempt,
        task_id: str,
        span: Span,
        context: Context,
        sampled: SpanContext | None,
    ) -> None:
        self.attempt = attempt
        self.task_id = task_id
        self.span = span
        self.context = context
        self.sampled = sampled
        self.started = perf_counter()
