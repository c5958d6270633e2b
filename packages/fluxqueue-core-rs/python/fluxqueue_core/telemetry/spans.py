"""Our spans. Most are made without the SDK: 3 µs instead of 20 µs.

All that they contain is known when they begin, and few are touched before they end. So
if the SDK would add nothing (`direct`), a span is a tuple until it ends, and then goes
to the tracer's processors like any other. When the application does more with it than
ask for its context (sets an attribute, adds an event, ...), it becomes an SDK span.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
)

from . import instruments
from .direct import Begun, Direct
from .propagation import SAMPLED, SPAN_KEY

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Attributes = Mapping[str, Any]
# The SDK's value for a link without attributes.
NO_ATTRIBUTES: Attributes = {}
# Held for microseconds. A child process must not inherit it while another thread has it.
_becoming = threading.Lock()
_log = logging.getLogger(__name__)


def _new_lock() -> None:
    global _becoming
    _becoming = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)


class Spans:
    """Begins spans for a tracer; see the module's text."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._direct = Direct.of(tracer)

    @property
    def are_direct(self) -> bool:
        """Whether most are made without the SDK."""
        return self._direct is not None

    def start(
        self,
        name: str,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Link] = (),
        around: Context | None = None,
    ) -> Span:
        """Begins a span now.

        Args:
            parent: None for a new trace.
            around: the context that the tracer gets; by default one with only the
                parent's span in it.
        """
        if (direct := self._direct) is not None:
            context = direct.root() if parent is None else direct.child_of(parent)
            if context is not None:
                if context[3] & SAMPLED:
                    begun = (name, context, parent, kind, attributes, links, time_ns())
                    return DirectSpan(direct, begun)
                return NonRecordingSpan(context)
        if around is None:
            around = Context({} if parent is None else {SPAN_KEY: NonRecordingSpan(parent)})
        try:
            return self._tracer.start_span(name, around, kind, attributes, links)
        except Exception:  # noqa: BLE001 - of the application's sampler or processor
            instruments.failed_once()
            return NonRecordingSpan(parent or INVALID_SPAN_CONTEXT)


def finish(span: Span) -> None:
    """Ends a span. An error of the application's processor fails no task."""
    try:
        span.end()
    except Exception:  # noqa: BLE001 - see above
        instruments.failed_once()


class DirectSpan(Span):
    """A span of `Spans`. Any use beyond asking for its context makes it an SDK span,
    including the use of attributes that only SDK spans have."""

    def __init__(self, direct: Direct, begun: Begun) -> None:
        self._direct = direct
        self._begun = begun
        self._sdks: Any = None
        self._over: Any = None

    def get_span_context(self) -> SpanContext:
        return self._begun[1]

    def is_recording(self) -> bool:
        sdks = self._sdks
        return self._over is None if sdks is None else bool(sdks.is_recording())

    def end(self, end_time: int | None = None) -> None:
        if self._sdks is not None:
            self._sdks.end(end_time)
        elif self._over is None:
            self._over = self._direct.end(self._begun, end_time)

    def set_attribute(self, key: str, value: Any) -> None:
        self._sdks_own("set_attribute", key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._sdks_own("set_attributes", attributes)

    def add_event(
        self, name: str, attributes: Attributes | None = None, timestamp: int | None = None
    ) -> None:
        self._sdks_own("add_event", name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes | None = None) -> None:
        self._sdks_own("add_link", context, attributes)

    def update_name(self, name: str) -> None:
        self._sdks_own("update_name", name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        self._sdks_own("set_status", status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self._sdks_own("record_exception", exception, attributes, timestamp, escaped)

    def __exit__(self, *error: Any) -> None:
        self._sdks_own("__exit__", *error)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._over or self._become_the_sdks(), name)

    def _sdks_own(self, method: str, *arguments: Any) -> None:
        if self._over is None:
            getattr(self._become_the_sdks(), method)(*arguments)
        else:  # as the SDK does
            _log.warning("%s of a span that has ended", method)

    def _become_the_sdks(self) -> Any:
        with _becoming:
            if self._sdks is None:
                self._sdks = self._direct.sdks(self._begun)
            return self._sdks
