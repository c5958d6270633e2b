"""The standard variables of OpenTelemetry, read without importing `opentelemetry`."""

from __future__ import annotations

import os

from fluxqueue_core.errors import ConfigurationError

SIGNALS = ("traces", "metrics", "logs")
_DEFAULT_PROTOCOL = "http/protobuf"


def is_disabled() -> bool:
    """Whether OTEL_SDK_DISABLED switches telemetry off."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def asks_for_export() -> bool:
    """Whether any signal has an exporter."""
    return any(exporters(signal) for signal in SIGNALS)


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


def protocol(signal: str) -> str:
    """The protocol of OTLP for a signal.

    Raises:
        ConfigurationError: FluxQueue does not speak it.
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
