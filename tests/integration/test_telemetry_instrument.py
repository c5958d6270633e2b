"""Processes under `opentelemetry-instrument`, which sets up the SDK before FluxQueue runs.
FluxQueue uses its providers, and does not change them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.collector import Collector
from support.logging_process import LoggingProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

INSTRUMENT = str(Path(sys.executable).with_name("opentelemetry-instrument"))
# Its resources have this attribute; ours do not.
MARK = "telemetry.auto.version"
HTTP = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
}
# The SDK exports nothing before the end: the data that arrives was flushed.
AT_THE_END = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BLRP_SCHEDULE_DELAY": "600000"}

APP = """
import logging

@fluxqueue.task()
def order(number):
    logging.getLogger("shop").warning("a line")
    mail(number)

@fluxqueue.task(max_retries=1, retry_delay=0.1)
def mail(number):
    raise ValueError("no good")
"""
CLIENT = """
import os
from fluxqueue import FluxQueue
from opentelemetry import trace

client = FluxQueue(os.environ["FLUXQUEUE_REDIS_URL"])

@client.task()
def order(number): ...

with trace.get_tracer("application").start_as_current_span("request"):
    order(1)
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def test_client_worker_and_scheduler_use_its_providers(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    variables = collector.variables | HTTP | AT_THE_END
    subprocess.run(
        [INSTRUMENT, sys.executable, "-c", CLIENT],
        env=os.environ | variables | {"FLUXQUEUE_REDIS_URL": redis_url},
        check=True,
        timeout=60,
    )
    under = (INSTRUMENT,)
    with (
        WorkerProcess(tmp_path, redis_url, APP, variables=variables, under=under) as worker,
        LoggingProcess(
            tmp_path, redis_url, "fluxqueue_scheduler", {}, variables, under
        ) as scheduler,
    ):
        worker.wait_for("task.dead")
        assert worker.stop() == 0, worker.output()
        assert scheduler.stop() == 0, scheduler.output()
        assert not worker.named("telemetry.not_flushed")
    # Each once: there is no second provider.
    assert sorted(span.name for span in collector.spans()) == sorted(
        ["request", "enqueue default", "process default", "ack default"]
        + ["enqueue default", "process default", "retry default", "promote default"]
        + ["process default", "dead default"]
    )
    (request,) = collector.spans("request")
    assert {span.trace_id for span in collector.spans()} == {request.trace_id}
    assert all(MARK in span.resource for span in collector.spans())
    assert {"messaging.process.duration", "messaging.client.sent.messages"} <= (
        collector.metric_names()
    )
    # The handler of `logging` exports its lines. They are also on stderr.
    (line,) = collector.logs("a line")
    assert line.trace_id == request.trace_id
    (written,) = worker.named("a line")
    assert (written["trace_id"], written["span_id"]) == (line.trace_id, line.span_id)
    exceptions = [log for log in collector.logs() if log.event_name]
    assert [log.event_name for log in exceptions] == ["messaging.process.exception"] * 2


def test_a_hanging_collector_delays_no_end(redis_url: str, redis: Any, tmp_path: Path) -> None:
    """Though its providers, which are not ours, wait for it at exit."""
    client = FluxQueue(redis_url)

    @client.task(name="order")
    def order(number: int) -> None: ...

    order(1)
    client.close()
    with Collector(answers=False) as silent:
        variables = silent.variables | HTTP | {"OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        variables["OTEL_BSP_SCHEDULE_DELAY"] = "20"
        under = (INSTRUMENT,)
        with (
            WorkerProcess(tmp_path, redis_url, APP, variables=variables, under=under) as worker,
            LoggingProcess(
                tmp_path, redis_url, "fluxqueue_scheduler", {}, variables, under
            ) as scheduler,
        ):
            scheduler.wait_for("scheduler.started")
            worker.wait_for("task.done")
            wait_until(lambda: "/v1/traces" in silent.paths, what="the first export")
            for process in (worker, scheduler):
                process.signal(signal.SIGTERM)
                process.wait_for("telemetry.not_flushed")
            for process in (worker, scheduler):
                assert process.wait() == 0, process.output()
                assert len(process.named("telemetry.not_flushed")) == 1
    assert redis.hget(key("stats", "default"), "succeeded") == b"1"
