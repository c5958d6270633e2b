"""An unreachable collector, for every signal: no task is delayed or fails, and the
drain ends in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.collector import Collector
from support.logging_process import LoggingProcess
from support.ports import free_port
from support.probing import get, reasons
from support.waiting import wait_until
from support.worker_process import WorkerProcess

COUNT = 300
APP = """
import logging, socket

log = logging.getLogger("shop")
resolve = socket.getaddrinfo

def without_answer(host, *arguments, **more):
    # As the resolver where no name server answers: outside the GIL, and for long.
    if host == "collector.invalid":
        note("asked")
        threading.Event().wait(600)
    return resolve(host, *arguments, **more)

socket.getaddrinfo = without_answer

@fluxqueue.task()
def order(number):
    log.warning("a line of a task")
    note(number)

@fluxqueue.task()
async def mail(number):
    log.warning("a line of a task")
    note(number)

@fluxqueue.task(max_retries=0)
def fails(number):
    raise ValueError(number)
"""
# All signals, at once and repeatedly. An export that is not cut short takes ten
# minutes: a process that waited for one would not end in time.
ALL = {
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_BSP_SCHEDULE_DELAY": "20",
    "OTEL_BLRP_SCHEDULE_DELAY": "20",
    "OTEL_METRIC_EXPORT_INTERVAL": "50",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "600",
}
# Queues of the SDK that are full soon.
SMALL = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"} | {
    "OTEL_BLRP_MAX_QUEUE_SIZE": "20",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "10",
}


@pytest.fixture
def silent() -> Iterator[Collector]:
    """Takes every request, and never answers."""
    with Collector(answers=False) as collector:
        yield collector


def variables_of(kind: str, silent: Collector) -> dict[str, str]:
    endpoint = {
        "refused": f"http://127.0.0.1:{free_port()}",
        "hanging": silent.url,
        "full": silent.url,
        "without a name server": "http://collector.invalid:4318",
    }[kind]
    small = SMALL if kind == "full" else {}
    return silent.variables | ALL | small | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}


KINDS = ["refused", "hanging", "full", "without a name server"]


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_run_and_the_drain_ends(
    kind: str, silent: Collector, redis_url: str, tmp_path: Path, redis: Any
) -> None:
    client = FluxQueue(redis_url)

    def any_task(number: int) -> None: ...

    port = free_port()
    variables = variables_of(kind, silent)
    with WorkerProcess(
        tmp_path, redis_url, APP, variables=variables, health_port=port, drain_timeout=5
    ) as worker:
        wait_until(lambda: reasons(port, "/readyz") == [], what=worker.output)
        for name in ("order", "mail", "fails"):
            task = client.task(name=name, max_retries=0 if name == "fails" else 3)(any_task)
            task.enqueue_many([(n,) for n in range(COUNT)])
        worker.wait_for("task.done", 2 * COUNT)
        worker.wait_for("task.dead", COUNT)
        if kind in ("hanging", "full"):
            paths = {"/v1/traces", "/v1/logs", "/v1/metrics"}
            wait_until(lambda: silent.paths == paths, what=lambda: f"exports: {silent.paths}")
        elif kind != "refused":
            wait_until(lambda: "asked" in worker.notes(), what="the first export")
        # Requests to the endpoint do not wait for the collector either.
        assert reasons(port, "/livez") == []
        status, text = get(port, "/metrics")
        assert status == 200 and "messaging_process_duration_seconds_count" in text
        assert worker.stop() == 0, worker.output()
        assert len([note for note in worker.notes() if note != "asked"]) == 2 * COUNT
        assert len(worker.named("telemetry.not_flushed")) == 1
        # Nothing was exported by the way of the log and back, without end.
        assert len(worker.named("a line of a task")) == 2 * COUNT
    stats = redis.hmget(key("stats", "default"), "succeeded", "dead")
    assert stats == [str(2 * COUNT).encode(), str(COUNT).encode()]
    client.close()


def test_a_running_task_is_given_back_at_the_deadline(
    silent: Collector, redis_url: str, redis: Any, tmp_path: Path
) -> None:
    """The exporters take nothing off the drain's time, nor add more than their own."""
    client = FluxQueue(redis_url)

    @client.task(name="endless")
    def endless() -> None: ...

    endless()
    app = "@fluxqueue.task()\ndef endless():\n    note('begun')\n    time.sleep(600)\n"
    variables = variables_of("hanging", silent)
    with WorkerProcess(tmp_path, redis_url, app, variables=variables, drain_timeout=0.5) as worker:
        wait_until(lambda: worker.notes() == ["begun"], what=worker.output)
        assert worker.stop() == 0, worker.output()
        assert len(worker.named("task.released")) == 1
    assert redis.llen(key("pending", "default")) == 1
    client.close()


def test_a_scheduler_ends_as_well(silent: Collector, redis_url: str, tmp_path: Path) -> None:
    variables = variables_of("hanging", silent)
    with LoggingProcess(tmp_path, redis_url, "fluxqueue_scheduler", {}, variables) as scheduler:
        wait_until(lambda: "/v1/logs" in silent.paths, what=scheduler.output)
        assert scheduler.stop() == 0
        assert len(scheduler.named("telemetry.not_flushed")) == 1


def test_a_collector_that_answers_with_an_error_is_reported(redis_url: str, tmp_path: Path) -> None:
    client = FluxQueue(redis_url)

    @client.task(name="order")
    def order(number: int) -> None: ...

    order(1)
    late = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with Collector(status=403) as collector:
        variables = collector.variables | late
        with (
            WorkerProcess(tmp_path, redis_url, APP, variables=variables) as worker,
            LoggingProcess(tmp_path, redis_url, "fluxqueue_scheduler", {}, variables) as scheduler,
        ):
            worker.wait_for("task.done")
            scheduler.wait_for("scheduler.started")
            for process in (worker, scheduler):
                assert process.stop() == 0
        assert collector.spans("process default")
    (line,) = worker.named("telemetry.not_flushed")
    assert "answered with an error" in line["error"]
    client.close()


def test_a_signal_that_hangs_does_not_keep_the_others(
    silent: Collector, redis_url: str, tmp_path: Path
) -> None:
    client = FluxQueue(redis_url)

    @client.task(name="order")
    def order(number: int) -> None: ...

    order(1)
    late = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BLRP_SCHEDULE_DELAY": "600000"}
    with Collector() as collector:
        variables = variables_of("hanging", silent) | late
        variables["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] = f"{collector.url}/v1/logs"
        with WorkerProcess(tmp_path, redis_url, APP, variables=variables) as worker:
            worker.wait_for("task.done")
            assert worker.stop() == 0
            assert len(worker.named("telemetry.not_flushed")) == 1
        assert collector.logs("a line of a task")
    client.close()
