"""Sets up the OpenTelemetry SDK of a long-running process from the standard
variables.

Nothing is set up, and `opentelemetry` is not imported, unless there is a target
for the export: an endpoint (OTEL_EXPORTER_OTLP_ENDPOINT or one for a signal), or a
named exporter (OTEL_TRACES_EXPORTER, ...). Providers that the application or
`opentelemetry-instrument` has set stay as they are and are used.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from fluxqueue_core.errors import ConfigurationError

from .export_results import ExportResults
from .log import Logger, get_logger
from .sdk_environment import asks_for_export, is_disabled

if TYPE_CHECKING:
    from .sdk_providers import Metrics

# The most seconds for the last export at the end of the process.
FLUSH_PATIENCE = 3.0

# The variables in which the API keeps the providers. None: no provider is set.
_PROVIDERS = (
    ("opentelemetry.trace", "_TRACER_PROVIDER"),
    ("opentelemetry.metrics._internal", "_METER_PROVIDER"),
)


class Sdk:
    """The OpenTelemetry SDK of this process.

    Args:
        metrics: the source of the Prometheus text, for `HealthServer.metrics`. None:
            the process does not offer it.
        exports_lines: whether log lines are exported.
        results: watches the exporters that this module has set up.
    """

    def __init__(
        self,
        metrics: Metrics | None = None,
        exports_lines: bool = False,
        results: ExportResults | None = None,
    ) -> None:
        self.metrics = metrics
        self.exports_lines = exports_lines
        self._results = results or ExportResults()

    def export_lines(self, logger: Logger) -> None:
        """Makes the logger export its lines, if the environment asks for that. Call
        it before `adopt_standard_logging`."""
        if self.exports_lines:
            from fluxqueue_core.telemetry.log_export import LogExport

            logger.export = LogExport()

    def flush(self, patience: float = FLUSH_PATIENCE) -> None:
        """Exports the rest of the data, including that of the application's providers.
        Logs `telemetry.not_flushed` if that took longer than `patience` seconds, or if the
        collector refused it.

        Each signal has its own thread: an exporter whose collector hangs ignores
        its time-out, and must not delay the others.
        """
        flushes = _flushes()
        self._results.refused = False
        done = [threading.Event() for _ in flushes]

        def run(flush: Callable[[int], Any], ended: threading.Event) -> None:
            try:
                flush(round(patience * 1000))
            except Exception as error:  # noqa: BLE001 - telemetry must not break the exit
                get_logger().debug("telemetry.flush_failed", error=str(error))
            ended.set()

        for each in zip(flushes, done, strict=True):
            threading.Thread(target=run, args=each, name="fluxqueue-flush", daemon=True).start()
        deadline = monotonic() + patience
        error = None
        if not all(ended.wait(max(deadline - monotonic(), 0.0)) for ended in done):
            error = "the collector does not answer"
        elif self._results.refused:
            error = "the collector answered with an error, or its connection failed"
        if error is not None:
            get_logger().warning("telemetry.not_flushed", error=error)


def _flushes() -> list[Callable[[int], Any]]:
    from opentelemetry import _logs, metrics, trace

    providers = (trace.get_tracer_provider(), metrics.get_meter_provider())
    every = (*providers, _logs.get_logger_provider())
    return [p.force_flush for p in every if hasattr(p, "force_flush")]


def is_wanted() -> bool:
    """Whether there is a target for the export, or the application has set a
    provider. Imports nothing to find out."""
    if is_provided():
        return True
    if is_disabled():
        return False
    return asks_for_export() and (_is_installed() or _warn_of_absence())


def is_provided() -> bool:
    """Whether the application has set a provider, and the environment does not forbid it."""
    found = (getattr(sys.modules.get(api), name, None) for api, name in _PROVIDERS)
    return not is_disabled() and any(provider is not None for provider in found)


def _is_installed() -> bool:
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def _warn_of_absence() -> Literal[False]:
    get_logger().warning(
        "telemetry.not_installed",
        error="OTEL_* variables ask for telemetry, but the OpenTelemetry SDK is not installed; "
        "install the extra [otel]",
    )
    return False


def set_up(service: str, serves_metrics: bool) -> Sdk | None:
    """Sets up what the environment asks for; None if it asks for nothing.

    Args:
        service: the `service.name` if the environment has none.
        serves_metrics: the process has an HTTP endpoint that can offer metrics.

    Raises:
        ConfigurationError: an exporter is unknown or not installed, or the SDK
            refuses a variable's value.
    """
    if not is_wanted():
        return None
    if not _is_installed():
        # The application has set a provider that is not the SDK's.
        if asks_for_export():
            _warn_of_absence()
        return Sdk()
    from . import sdk_providers

    results = ExportResults()
    try:
        return Sdk(*sdk_providers.set_up(service, serves_metrics, results), results)
    except ValueError as error:
        raise ConfigurationError(f"a variable OTEL_* is not valid: {error}") from error
