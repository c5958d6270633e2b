"""Real processes that export telemetry to a collector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from redis import Redis
from support.collector import Collector
from support.logging_process import LoggingProcess
from support.ports import free_port
from support.probing import get
from support.raw_messages import push
from support.telemetry import Recorded, id_of, trace_of
from support.waiting import wait_until
from support.worker_process import WorkerProcess

# The SDK exports nothing before the end: the data that arrives was flushed.
AT_THE_END = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BLRP_SCHEDULE_DELAY": "600000"}

APP = """
import asyncio, logging, sys
import structlog

log = logging.getLogger("shop")
structlog.configure(
    processors=[structlog.processors.JSONRenderer()],
    logger_factory=structlog.WriteLoggerFactory(sys.stderr),
)

@fluxqueue.task()
def order(number):
    log.warning("sync line")
    structlog.get_logger().info("structlog line")
    note(number)

@fluxqueue.task()
async def mail(number):
    async def child():
        log.warning("child line")
    await asyncio.create_task(child())
    log.warning("async line")
    note(number)

@fluxqueue.task(max_retries=1, retry_delay=0.1)
def fails(number):
    raise ValueError(f"no good {number}")
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def scheduler_process(
    folder: Path, redis_url: str, variables: dict[str, str], **options: object
) -> LoggingProcess:
    return LoggingProcess(folder, redis_url, "fluxqueue_scheduler", options, variables)


def declared(redis_url: str) -> Any:
    """The client's side of the application: (order, mail, fails)."""
    client = FluxQueue(redis_url)
    return tuple(
        client.task(name=name, max_retries=1 if name == "fails" else 3)(lambda number: None)
        for name in ("order", "mail", "fails")
    )


def test_everything_is_flushed_at_the_drain(
    redis_url: str, tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded()
    order, mail, fails = declared(redis_url)
    with monkeypatch.context() as patch:
        recorded.install(patch)
        with recorded.tracer.start_as_current_span("request"):
            for task in (order, mail, fails):
                task(1)
    variables = collector.variables | AT_THE_END
    with (
        scheduler_process(tmp_path, redis_url, variables) as scheduler,
        WorkerProcess(tmp_path, redis_url, APP, variables=variables) as worker,
    ):
        worker.wait_for("task.done", 2)
        worker.wait_for("task.dead")
        assert not collector.spans()
        assert worker.stop() == 0 and scheduler.stop() == 0
        assert not worker.named("telemetry.not_flushed")
    names = sorted(span.name for span in collector.spans())
    assert names == sorted(
        ["process default"] * 4
        + ["ack default"] * 2
        + ["retry default", "dead default", "promote default"]
    )
    trace = f"{trace_of(recorded.span('request')):032x}"
    assert {span.trace_id for span in collector.spans()} == {trace}
    assert {span.service for span in collector.spans()} == {"under-test"}


def test_lines_of_a_task_say_which_task_and_which_span(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    order, mail, fails = declared(redis_url)
    for task in (order, mail, fails):
        task(1)
    with WorkerProcess(tmp_path, redis_url, APP, variables=collector.variables) as worker:
        worker.wait_for("task.done", 2)
        worker.wait_for("task.retry")
        assert worker.stop() == 0
    spans = {span.span_id: span for span in collector.spans("process default")}
    every = ("sync line", "structlog line", "async line", "child line", "task.done", "task.retry")
    for event in every:
        for line in worker.named(event):
            span = spans[line["span_id"]]
            assert line["trace_id"] == span.trace_id, event
            assert line["task_id"] == span.attributes["messaging.message.id"], event
    assert all(worker.named(event) for event in every)
    for event in ("worker.started", "worker.stopped"):
        assert not {"trace_id", "task_id"} & worker.named(event)[0].keys()


def test_lines_say_the_task_without_telemetry_as_well(redis_url: str, tmp_path: Path) -> None:
    order, mail, _ = declared(redis_url)
    order(1)
    mail(2)
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("task.done", 2)
        assert worker.stop() == 0
    done = {line["name"]: line["task_id"] for line in worker.named("task.done")}
    for event, name in (
        ("sync line", "order"),
        ("structlog line", "order"),
        ("async line", "mail"),
    ):
        (line,) = worker.named(event)
        assert line["task_id"] == done[name]
        assert "trace_id" not in line


def test_metrics_are_served_as_prometheus_text(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    order, _, fails = declared(redis_url)
    order(1)
    fails(2)
    ports = free_port(), free_port()
    with (
        WorkerProcess(
            tmp_path, redis_url, APP, variables=collector.variables, health_port=ports[0]
        ) as worker,
        scheduler_process(
            tmp_path, redis_url, collector.variables, health_port=ports[1]
        ) as scheduler,
    ):
        worker.wait_for("task.done")
        worker.wait_for("task.dead")
        text = get(ports[0], "/metrics")[1]
        assert "# TYPE messaging_process_duration_seconds histogram" in text
        assert 'messaging_operation_name="process"' in text
        for name in (
            "messaging_client_operation_duration_seconds_count",
            "messaging_client_consumed_messages_total",
            "fluxqueue_task_wait_duration_seconds_count",
            "fluxqueue_task_retries_total",
            "fluxqueue_worker_slots_busy",
            "fluxqueue_worker_slots",
        ):
            assert f"\n{name}{{" in text or f"\n{name} " in text, name
        wait_until(
            lambda: (
                'fluxqueue_queue_dead{messaging_destination_name="default"'
                in get(ports[1], "/metrics")[1]
            ),
            what=lambda: f"the queue's metrics: {get(ports[1], '/metrics')}",
        )
        text = get(ports[1], "/metrics")[1]
        for name in ("depth", "delayed", "claimed", "dead", "suspects"):
            assert f'fluxqueue_queue_{name}{{messaging_destination_name="default"' in text
        assert "\nfluxqueue_tasks_promoted_total{" in text
        assert worker.stop() == 0 and scheduler.stop() == 0


def test_metrics_are_exported_by_otlp_and_flushed_at_the_drain(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    order, _, _ = declared(redis_url)
    order(1)
    # The SDK exports nothing before the end: the data that arrives was flushed.
    variables = collector.variables | {"OTEL_METRICS_EXPORTER": "otlp"}
    variables["OTEL_METRIC_EXPORT_INTERVAL"] = "600000"
    with (
        scheduler_process(tmp_path, redis_url, variables) as scheduler,
        WorkerProcess(tmp_path, redis_url, APP, variables=variables) as worker,
    ):
        scheduler.wait_for("scheduler.started")
        worker.wait_for("task.done")
        # The scheduler looks once a second which queues there are.
        with Redis.from_url(redis_url) as redis:
            wait_until(lambda: redis.exists(key("sweep", "default")), what="a sweep of the queue")
        assert not collector.metric_names()
        assert worker.stop() == 0
        of_worker = collector.metric_names()
        assert scheduler.stop() == 0
    assert of_worker >= {
        "messaging.process.duration",
        "messaging.client.operation.duration",
        "messaging.client.consumed.messages",
        "fluxqueue.task.wait.duration",
        "fluxqueue.worker.slots.busy",
    }
    assert collector.metric_names() >= {
        f"fluxqueue.queue.{name}" for name in ("depth", "delayed", "claimed", "dead")
    }


def test_a_wrong_switch_is_one_line_and_exit_code_2(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    variables = collector.variables | {"FLUXQUEUE_OTEL_PROCESS_PARENT": "sideways"}
    with WorkerProcess(tmp_path, redis_url, APP, variables=variables) as worker:
        assert worker.wait() == 2
        worker.wait_for_output(
            "FLUXQUEUE_OTEL_PROCESS_PARENT: 'sideways' is neither parent nor link"
        )


ANOTHER_MAKE = """
import sys
sys.modules["opentelemetry.sdk"] = None  # as if it were not installed
from opentelemetry import trace

class Recording(trace.NonRecordingSpan):
    def is_recording(self):
        return True

    def end(self, end_time=None):
        note("ended")

class Tracer(trace.NoOpTracer.__base__):
    def start_span(self, name, *args, **kwargs):
        note(name)
        return Recording(trace.SpanContext(1, 2, False, trace.TraceFlags(1)))

    start_as_current_span = None

class Provider(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        return Tracer()

trace.set_tracer_provider(Provider())

@fluxqueue.task()
def order(number): ...
"""


@pytest.mark.parametrize("asks", [False, True])
def test_a_provider_of_another_make_is_used_without_the_sdk(
    asks: bool, redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    order, _, _ = declared(redis_url)
    order(1)
    variables = collector.variables if asks else {}
    with WorkerProcess(
        tmp_path, redis_url, ANOTHER_MAKE, variables=variables, health_port=free_port()
    ) as worker:
        worker.wait_for("task.done")
        assert worker.stop() == 0, worker.output()
        assert worker.notes() == ["process default", "ack default", "ended", "ended"]
        assert len(worker.named("telemetry.not_installed")) == asks


RESCUED_APP = """
from pathlib import Path

@fluxqueue.task()
def order(number):
    note("begun")
    while not Path("go-on").exists():
        time.sleep(0.01)
"""


def test_a_rescued_attempt_is_in_its_trace(
    redis_url: str, tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded()
    order, _, _ = declared(redis_url)
    with monkeypatch.context() as patch:
        recorded.install(patch)
        order(1)
    variables = collector.variables
    with scheduler_process(tmp_path, redis_url, variables, lease=1) as scheduler:
        with WorkerProcess(tmp_path, redis_url, RESCUED_APP, variables=variables, lease=1) as lost:
            wait_until(lambda: lost.notes() == ["begun"], what=lost.output)
            lost.kill()
        scheduler.wait_for("consumer.rescued")
        (tmp_path / "go-on").touch()
        with WorkerProcess(
            tmp_path, redis_url, RESCUED_APP, variables=variables, lease=1
        ) as worker:
            worker.wait_for("task.done")
            assert worker.stop() == 0
        assert scheduler.stop() == 0
    enqueue = recorded.span("enqueue default")
    (rescue,) = collector.spans("rescue default")
    (process,) = collector.spans("process default")
    assert process.attributes["messaging.fluxqueue.deliveries"] == 1
    for span in (rescue, process):
        assert span.trace_id == f"{trace_of(enqueue):032x}"
        assert span.parent_id == f"{id_of(enqueue):016x}"


OTHER_LIBRARY = """
from opentelemetry import metrics

taken = metrics.get_meter("another_library").create_counter("messaging.client.consumed.messages")

@fluxqueue.task()
def consume():
    taken.add(1)
"""


def test_a_metric_of_another_library_with_the_same_name_is_another_series(
    redis_url: str, tmp_path: Path, redis: Redis, collector: Collector
) -> None:
    push(redis, "consume")
    variables = collector.variables
    port = free_port()
    with WorkerProcess(
        tmp_path, redis_url, OTHER_LIBRARY, variables=variables, health_port=port
    ) as worker:
        worker.wait_for("task.done")
        text = get(port, "/metrics")[1]
        series = [
            line.rpartition(" ")[0]
            for line in text.splitlines()
            if line.startswith("messaging_client_consumed_messages_total")
        ]
        scopes = {line.partition('otel_scope_name="')[2].partition('"')[0] for line in series}
        assert scopes == {"another_library", "fluxqueue"}
        assert len(series) == len(set(series)) == 2
