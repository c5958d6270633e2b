"""Sets up the OpenTelemetry SDK of a long-running process, as the standard
variables say.

Nothing is set up, and `opentelemetry` is not imported, unless there is somewhere
to export to: an endpoint (OTEL_EXPORTER_OTLP_ENDPOINT or one for a signal), or a
named exporter (OTEL_TRACES_EXPORTER, ...). What the application or
`opentelemetry-instrument` has set up is left alone, and used.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from time import monotonic
from typing import Any, Literal

from fluxqueue_core.errors import ConfigurationError

from .log import Logger, get_logger

SIGNALS = ("traces", "metrics", "logs")
_DEFAULT_PROTOCOL = "http/protobuf"
# Seconds that the last export may take at the end of the process.
FLUSH_PATIENCE = 3.0

# Where the API keeps the providers that were set; None before.
_PROVIDERS = (
    ("opentelemetry.trace", "_TRACER_PROVIDER"),
    ("opentelemetry.metrics._internal", "_METER_PROVIDER"),
)

Metrics = Callable[[], tuple[str, bytes]]


class Sdk:
    """What this process exports with.

    Args:
        metrics: for `HealthServer.metrics`: the Prometheus text; None without.
        exports_lines: whether log lines are to be exported.
    """

    def __init__(self, metrics: Metrics | None = None, exports_lines: bool = False) -> None:
        self.metrics = metrics
        self.exports_lines = exports_lines

    def export_lines(self, logger: Logger) -> None:
        """Has the logger export its lines, where that is wanted. It comes before
        `adopt_standard_logging`."""
        if self.exports_lines:
            from fluxqueue_core.telemetry.log_export import LogExport

            logger.export = LogExport()

    def flush(self, patience: float = FLUSH_PATIENCE) -> bool:
        """Exports what is left, of the application's providers as well; False
        where that did not end within `patience` seconds.

        Each signal in a thread of its own: an exporter whose collector hangs
        does not listen to a time-out, and must not keep the others.
        """
        flushes = _flushes()
        done = [threading.Event() for _ in flushes]

        def run(flush: Callable[[int], Any], ended: threading.Event) -> None:
            try:
                flush(round(patience * 1000))
            except Exception as error:  # noqa: BLE001 - telemetry fails nobody
                get_logger().debug("telemetry.flush_failed", error=str(error))
            ended.set()

        for each in zip(flushes, done, strict=True):
            threading.Thread(target=run, args=each, name="fluxqueue-flush", daemon=True).start()
        deadline = monotonic() + patience
        return all(ended.wait(max(deadline - monotonic(), 0.0)) for ended in done)


def _flushes() -> list[Callable[[int], Any]]:
    from opentelemetry import _logs, metrics, trace

    providers = (trace.get_tracer_provider(), metrics.get_meter_provider())
    every = (*providers, _logs.get_logger_provider())
    return [p.force_flush for p in every if hasattr(p, "force_flush")]


def is_wanted() -> bool:
    """Whether there is something to export to, or the application has set a
    provider; decided without importing anything."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if any(getattr(sys.modules.get(api), name, None) is not None for api, name in _PROVIDERS):
        return True
    return _asks_for_export() and (_is_installed() or _warn_of_absence())


def _asks_for_export() -> bool:
    return any(exporters(signal) for signal in SIGNALS)


def _is_installed() -> bool:
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def _warn_of_absence() -> Literal[False]:
    get_logger().warning(
        "telemetry.not_installed",
        error="OTEL_* variables ask for telemetry, but the OpenTelemetry SDK is not installed; "
        "install the extra [otel]",
    )
    return False


def exporters(signal: str) -> list[str]:
    """The exporters that the environment names for a signal: `otlp`, `console`,
    for metrics also `prometheus`."""
    if named := named_exporters(signal):
        return [name for word in named.split(",") if (name := word.strip()) not in ("", "none")]
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return ["otlp"] if any(os.environ.get(name) for name in endpoints) else []


def named_exporters(signal: str) -> str:
    """The variable that names a signal's exporters."""
    return os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip()


def set_up(service: str, serves_metrics: bool) -> Sdk | None:
    """Sets up what the environment asks for; None where that is nothing.

    Args:
        service: the `service.name` where the environment has none.
        serves_metrics: the process has an HTTP endpoint that can offer metrics.

    Raises:
        ConfigurationError: an exporter that is not known or not installed, or a
            variable whose value the SDK refuses.
    """
    if not is_wanted():
        return None
    if not _is_installed():
        # The application has set a provider of another make.
        if _asks_for_export():
            _warn_of_absence()
        return Sdk()
    from . import sdk_providers

    try:
        return sdk_providers.set_up(service, serves_metrics)
    except ValueError as error:
        raise ConfigurationError(f"a variable OTEL_* is not valid: {error}") from error


def protocol(signal: str) -> str:
    """How OTLP is spoken for a signal.

    Raises:
        ConfigurationError: we do not speak it.
    """
    names = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    for name in names:
        value = os.environ.get(name, "").strip()
        if value and value != _DEFAULT_PROTOCOL:
            raise ConfigurationError(
                f"variable {name}: {value!r} is not supported; give {_DEFAULT_PROTOCOL}, or run "
                f"the process under opentelemetry-instrument"
            )
        if value:
            return value
    return _DEFAULT_PROTOCOL
