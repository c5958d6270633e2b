"""FluxQueue's tracer, meter and logger, and the telemetry that client, worker and
scheduler have in common."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter, NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider, Span, Status, StatusCode, Tracer

from fluxqueue_core import Producer, __version__
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.exception_text import class_of, text_of

from . import semconv as s

_log = logging.getLogger(__name__)
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")
# Characters of an exception's text in a span, and in a log event.
MESSAGE_LENGTH = 8 * 1024
Attributes = Mapping[str, Any]


def switch(variable: str, default: bool) -> bool:
    """Reads a variable that is yes or no.

    Raises:
        ConfigurationError: its value is neither.
    """
    word = os.environ.get(variable, "").strip().lower()
    if not word:
        return default
    if word not in _YES + _NO:
        raise ConfigurationError(
            f"variable {variable}: {word!r} is neither yes (1, true, on) nor no (0, false, off)"
        )
    return word in _YES


def get_tracer() -> Tracer | None:
    """Returns FluxQueue's tracer. None: there is no provider, or it does nothing
    (OTEL_SDK_DISABLED)."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | NoOpTracerProvider):
        return None
    tracer = provider.get_tracer(s.SCOPE, __version__, s.SCHEMA_URL)
    return None if isinstance(tracer, trace.NoOpTracer) else tracer


def get_meter() -> Meter | None:
    """Returns FluxQueue's meter. None: as for `get_tracer`."""
    provider = metrics.get_meter_provider()
    if isinstance(provider, metrics._internal._ProxyMeterProvider | NoOpMeterProvider):
        return None
    meter = provider.get_meter(s.SCOPE, __version__, s.SCHEMA_URL)
    return None if isinstance(meter, metrics.NoOpMeter) else meter


def follows_unsampled_parents(tracer: Tracer | None) -> bool:
    """Whether the tracer records nothing below an unsampled parent, remote or local. The
    SDK's default sampler is like that. Then the caller need not ask the tracer.

    False if the sampler does not show this.
    """
    if tracer is None:
        return True
    try:
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
    except ImportError:
        return False
    sampler = getattr(tracer, "sampler", None)
    if sampler is ALWAYS_OFF:
        return True
    # A subclass of `ParentBased` may decide in another way.
    if getattr(type(sampler), "should_sample", None) is not ParentBased.should_sample:
        return False
    return all(
        getattr(sampler, name, None) is ALWAYS_OFF
        for name in ("_remote_parent_not_sampled", "_local_parent_not_sampled")
    )


def duration_histogram(meter: Meter, name: str, description: str) -> Histogram:
    """Makes a histogram of seconds with the buckets of the conventions."""
    return meter.create_histogram(
        name,
        unit="s",
        description=description,
        explicit_bucket_boundaries_advisory=list(s.DURATION_BUCKETS),
    )


def broker_attributes(producer: Producer) -> dict[str, Any]:
    """Returns the attributes for the address of the broker, and for the namespace unless it
    is the default one."""
    address, port = producer.server
    attributes: dict[str, Any] = {s.SERVER_ADDRESS: address}
    if port is not None:
        attributes[s.SERVER_PORT] = port
    if producer.namespace:
        attributes[s.NAMESPACE] = producer.namespace
    return attributes


_client_id = ""


def _forget_client_id() -> None:
    global _client_id
    _client_id = ""


os.register_at_fork(after_in_child=_forget_client_id)


def client_id() -> str:
    """Returns the id of this process among all clients of the broker: host, process id,
    and a random part. An earlier process, or one in another container, may have the same
    host and process id."""
    global _client_id
    if not _client_id:
        _client_id = f"{os.uname().nodename}@{os.getpid()}@{os.urandom(4).hex()}"
    return _client_id


def error_type(error: BaseException) -> str:
    """Returns the value of `error.type`: the class, with its module unless built in."""
    module, name = class_of(error)
    return name if module in ("", "builtins") else f"{module}.{name}"


_has_failed = False


def failed_once() -> None:
    """Logs the exception that is being handled, if it is the first one of this process.
    A part that the application has given to the SDK may raise for every task."""
    global _has_failed
    if not _has_failed:
        _has_failed = True
        _log.exception("telemetry has failed, and this is not said again; the tasks go on")


def printable(text: str) -> str:
    """Returns the text without lone surrogates, which UTF-8 can't carry. One of them
    would make an exporter lose its whole batch."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class Exceptions:
    """Records exceptions as log events, and, unless the variable
    OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN is `logs`, as span events as well."""

    def __init__(self) -> None:
        self._on_span = os.environ.get(s.EXCEPTION_SIGNAL_VARIABLE, "").strip().lower() != "logs"
        self._logger = _logs.get_logger(s.SCOPE, __version__, schema_url=s.SCHEMA_URL)

    def record(
        self,
        span: Span,
        context: Context,
        operation_type: str,
        error: BaseException,
        stacktrace: str,
    ) -> None:
        """Marks the span as failed and records the exception.

        Args:
            context: one whose current span is `span`.
        """
        kind, message = error_type(error), text_of(error, MESSAGE_LENGTH)
        span.set_attribute(s.ERROR_TYPE, kind)
        span.set_status(Status(StatusCode.ERROR, message))
        attributes = {
            s.EXCEPTION_TYPE: kind,
            s.EXCEPTION_MESSAGE: message,
            s.EXCEPTION_STACKTRACE: printable(stacktrace),
        }
        if self._on_span:
            span.add_event("exception", attributes)
        is_process = operation_type == s.TYPE_PROCESS
        try:
            self._logger.emit(
                context=context,
                severity_number=SeverityNumber.ERROR if is_process else SeverityNumber.WARN,
                severity_text="ERROR" if is_process else "WARN",
                event_name=s.exception_event(operation_type),
                attributes=attributes,
            )
        except Exception:  # noqa: BLE001 - of the application's processor
            failed_once()
