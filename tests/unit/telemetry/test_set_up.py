"""When there is telemetry, and with what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fluxqueue import FluxQueue, telemetry
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service import sdk, sdk_environment
from support.telemetry import Recorded


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "shop"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_telemetry_is_wanted_if_the_environment_names_an_exporter(
    variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert sdk.is_wanted() is wanted


def test_a_provider_of_the_application_is_used(recorded: Recorded) -> None:
    assert sdk.is_wanted()
    assert sdk.set_up("worker", serves_metrics=True) is not None
    assert telemetry.active() is not None


def test_a_meter_provider_alone_is_used(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", None)
    assert sdk.is_wanted()
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", None)
    assert not sdk.is_wanted()


def test_each_signal_has_its_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "console, otlp")
    assert [sdk_environment.exporters(signal) for signal in sdk_environment.SIGNALS] == [
        ["otlp"],
        [],
        ["console", "otlp"],
    ]


def test_a_protocol_that_is_not_spoken_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ConfigurationError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc'"):
        sdk_environment.protocol("traces")


def test_an_unknown_exporter_is_one_line_and_exit_code_2() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "fluxqueue_scheduler"],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "zipkin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    assert "OTEL_TRACES_EXPORTER: 'zipkin' is not known" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("module", ["fluxqueue_scheduler", "fluxqueue_worker"])
def test_a_value_that_the_sdk_refuses_is_one_line_and_exit_code_2(
    module: str, tmp_path: Path
) -> None:
    (tmp_path / "tasks.py").write_text(
        "from fluxqueue import FluxQueue\n"
        "queue = FluxQueue(None)\n"
        "@queue.task()\n"
        "def task() -> None: ...\n"
    )
    variables = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "0"}
    run = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, **variables, "FLUXQUEUE_TASKS_MODULE_PATH": "tasks"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2, run.stderr
    assert "OTEL_* is not valid: max_queue_size must be a positive" in run.stderr.splitlines()[-1]


WITHOUT = """
import sys
{block}
import fluxqueue
queue = fluxqueue.FluxQueue("redis://127.0.0.1:1/0?timeout=0.1")
@queue.task()
def task(): ...
try:
    task()
except fluxqueue.BrokerUnavailable:
    print("called", sorted(m for m in sys.modules if m.startswith("opentelemetry.")))
"""


@pytest.mark.parametrize("block", ["", "sys.modules['opentelemetry'] = None"])
def test_a_call_without_an_sdk_imports_nothing(block: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(block=block)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stdout == "called []\n", run.stderr


API_ONLY = """
import sys
sys.modules["opentelemetry.sdk"] = None  # the extra of the client brings the API alone
import fluxqueue
from opentelemetry import trace

class Provider(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        return Tracer()

class Tracer(trace.NoOpTracer.__base__):
    def start_span(self, name, *args, **kwargs):
        print("started", name)
        return trace.INVALID_SPAN
    start_as_current_span = None

trace.set_tracer_provider(Provider())
queue = fluxqueue.FluxQueue("redis://127.0.0.1:1/0?timeout=0.1")
@queue.task()
def task(): ...
try:
    task()
except fluxqueue.BrokerUnavailable:
    print("called")
"""


def test_a_call_needs_no_more_than_the_api() -> None:
    run = subprocess.run(
        [sys.executable, "-c", API_ONLY], capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "started enqueue default\ncalled\n", run.stderr


def test_a_provider_set_after_the_first_call_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert telemetry.active() is None
    Recorded().install(monkeypatch)
    assert telemetry.active() is not None


def test_a_disabled_sdk_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    Recorded().install(monkeypatch)
    assert telemetry.active() is None and not sdk.is_wanted()


def test_a_wrong_switch_is_a_clear_error_of_the_call(
    monkeypatch: pytest.MonkeyPatch, recorded: Recorded
) -> None:
    monkeypatch.setenv("FLUXQUEUE_OTEL_BAGGAGE", "perhaps")

    @FluxQueue("redis://127.0.0.1:1").task()
    def order() -> None: ...

    with pytest.raises(ConfigurationError, match=r"FLUXQUEUE_OTEL_BAGGAGE: 'perhaps' is neither"):
        order()
