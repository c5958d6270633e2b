"""Log lines by OTLP: the worker's own, those of `logging` and of structlog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from support.collector import Collector, ReceivedLog
from support.logging_process import LoggingProcess
from support.worker_process import WorkerProcess

# The SDK exports nothing before the end: the data that arrives was flushed.
AT_THE_END = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BLRP_SCHEDULE_DELAY": "600000"}
LOGS = {"OTEL_LOGS_EXPORTER": "otlp"}

TASKS = """
import asyncio, logging, sys

log = logging.getLogger("shop")

@fluxqueue.task()
def order(number):
    log.warning("sync %s", "line", extra={"number": number, "strange": "\\ud800", "big": 2**70})
    log.debug("nobody sees this")
    try:
        raise KeyError("a key")
    except KeyError:
        log.exception("caught")

@fluxqueue.task()
async def mail(number):
    async def child():
        log.warning("child line")
    await asyncio.create_task(child())
    log.warning("async line")
"""
HANDLERS = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
"""
STRUCTLOG = """
import structlog, sys
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.JSONRenderer(),
    ],
    logger_factory=structlog.WriteLoggerFactory(sys.stderr),
)

@fluxqueue.task()
def order(number):
    structlog.get_logger().warning("structlog line", number=number, parts=["a", "b"])
    try:
        raise KeyError("a key")
    except KeyError:
        structlog.get_logger().exception("structlog caught")
"""
STRUCTLOG_ON_LOGGING = """
import logging, structlog
structlog.configure(
    processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
    logger_factory=structlog.stdlib.LoggerFactory(),
)

@fluxqueue.task()
def order(number):
    structlog.get_logger("shop").warning("structlog line", number=number)
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def enqueue(url: str, *names: str) -> None:
    client = FluxQueue(url)

    def any_task(number: int) -> None: ...

    for name in names:
        client.task(name=name)(any_task)(7)
    client.close()


def run(
    folder: Path, url: str, app: str, variables: dict[str, str], names: tuple[str, ...] = ("order",)
) -> WorkerProcess:
    """A worker that has run these tasks and has ended."""
    enqueue(url, *names)
    with WorkerProcess(folder, url, app, variables=variables) as worker:
        worker.wait_for("task.done", len(names))
        assert worker.stop() == 0, worker.output()
    return worker


def only(collector: Collector, body: str) -> ReceivedLog:
    found = collector.logs(body)
    assert len(found) == 1, f"{len(found)} records {body!r} in {collector.logs()}"
    return found[0]


def test_lines_are_exported_with_their_trace_and_flushed_at_the_drain(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    variables = collector.variables | AT_THE_END | LOGS
    worker = run(tmp_path, redis_url, TASKS, variables, ("order", "mail"))
    processed = {s.attributes["messaging.fluxqueue.task.name"]: s for s in collector.spans()}
    for body, task in (
        ("sync line", "order"),
        ("caught", "order"),
        ("child line", "mail"),
        ("async line", "mail"),
    ):
        record = only(collector, body)
        # The viewer finds the line by the span, and the task by its id.
        assert record.trace_id == processed[task].trace_id
        (span,) = [s for s in collector.spans("process default") if s.span_id == record.span_id]
        assert record.attributes["task_id"] == span.attributes["messaging.message.id"]
        assert record.scope == "shop"
        # The line is also on stderr.
        assert len(worker.named(body)) == 1
    sync, caught = only(collector, "sync line"), only(collector, "caught")
    assert sync.severity == "WARN" and caught.severity == "ERROR"
    assert sync.attributes["number"] == 7
    assert sync.attributes["strange"] == "\\ud800" and sync.attributes["big"] == str(2**70)
    assert "KeyError: 'a key'" in caught.attributes["exception.stacktrace"]
    assert "exception" not in caught.attributes
    assert not collector.logs("nobody sees this")

    # The worker's own lines, to the very last.
    done = {r.attributes["name"]: r for r in collector.logs("task.done")}
    assert set(done) == {"order", "mail"}
    assert done["order"].trace_id == sync.trace_id and done["order"].scope == "fluxqueue"
    assert only(collector, "worker.started").trace_id == ""
    assert only(collector, "worker.stopped").severity == "INFO"


def test_lines_of_logging_are_exported_beside_the_applications_own_handlers(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    worker = run(tmp_path, redis_url, HANDLERS + TASKS, collector.variables | AT_THE_END | LOGS)
    assert only(collector, "sync line").trace_id
    assert "KeyError" in only(collector, "caught").attributes["exception.stacktrace"]
    assert not worker.named("sync line")  # the application's handler has it


@pytest.mark.parametrize("app", [STRUCTLOG, STRUCTLOG_ON_LOGGING])
def test_lines_of_structlog_are_exported_once(
    app: str, redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    worker = run(tmp_path, redis_url, app, collector.variables | AT_THE_END | LOGS)
    (record,) = [r for r in collector.logs() if "structlog line" in r.body]
    (span,) = collector.spans("process default")
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert record.attributes["task_id"] == span.attributes["messaging.message.id"]
    assert record.severity == "WARN"
    if app == STRUCTLOG:
        assert record.body == "structlog line"
        assert record.attributes["number"] == 7 and record.attributes["parts"] == '["a","b"]'
        caught = only(collector, "structlog caught")
        assert "KeyError: 'a key'" in caught.attributes["exception.stacktrace"]
        assert len(worker.named("structlog line")) == 1


def test_with_logs_alone_there_are_no_spans(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    variables = collector.variables | AT_THE_END | LOGS | {"OTEL_TRACES_EXPORTER": "none"}
    run(tmp_path, redis_url, TASKS, variables, ("order", "mail"))
    assert not collector.spans()
    assert only(collector, "sync line").trace_id == ""
    assert only(collector, "async line").attributes["task_id"]


@pytest.mark.parametrize("exporter", ["", "none"])
def test_lines_are_exported_only_where_they_are_asked_for(
    exporter: str, redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    variables = collector.variables | AT_THE_END | {"OTEL_LOGS_EXPORTER": exporter}
    run(tmp_path, redis_url, TASKS, variables)
    assert collector.spans("process default") and not collector.logs()


def test_lines_of_the_scheduler_are_exported(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    variables = collector.variables | AT_THE_END | LOGS
    with LoggingProcess(tmp_path, redis_url, "fluxqueue_scheduler", {}, variables) as scheduler:
        scheduler.wait_for("scheduler.started")
        assert scheduler.stop() == 0
    assert only(collector, "scheduler.started").scope == "fluxqueue"
    assert only(collector, "scheduler.stopped").severity == "INFO"


DEBUG_ROOT = """
logging.getLogger().setLevel("DEBUG")      # what sends the batches logs now, too
logging.getLogger("opentelemetry").setLevel("DEBUG")
"""


def test_exporting_does_not_export_its_own_lines(
    redis_url: str, tmp_path: Path, collector: Collector
) -> None:
    variables = collector.variables | LOGS | {"OTEL_BLRP_SCHEDULE_DELAY": "10"}
    app = HANDLERS.replace("sys.stdout", "sys.stderr") + DEBUG_ROOT + TASKS
    enqueue(redis_url, "order")
    with WorkerProcess(tmp_path, redis_url, app, variables=variables) as worker:
        worker.wait_for("task.done")
        # The application logs the export in its own place.
        worker.wait_for_output("/v1/logs")
        assert worker.stop() == 0
    scopes = {record.scope for record in collector.logs()}
    assert scopes == {"fluxqueue", "shop"} | {s for s in scopes if s.startswith("asyncio")}


def test_a_record_that_can_not_be_made_raises_no_error(recorded: Any) -> None:
    from fluxqueue_core.telemetry.log_export import LogExport

    LogExport()({"event": "without a time"})
    assert not recorded.logs()


def test_a_line_written_while_a_record_is_made_is_not_exported(recorded: Any) -> None:
    from datetime import UTC, datetime

    from fluxqueue_core.telemetry.log_export import LogExport

    export = LogExport()
    line = {"timestamp": datetime.now(UTC), "level": "info"}

    class Chatty:
        def __str__(self) -> str:
            export({"event": "inner", **line})
            return "chatty"

    export({"event": "outer", "value": Chatty(), **line})
    (record,) = recorded.logs()
    assert record.log_record.body == "outer"
    assert record.log_record.attributes["value"] == "chatty"
