"""Log lines: their shape, what they can't be made to do, and where they go."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import Event
from fluxqueue_core.service import log, standard_logging
from fluxqueue_worker.events import KINDS, ConsumerEvents
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def fields(**more: Any) -> dict[str, Any]:
    return {"timestamp": NOW, "level": "info", "event": "task.done", **more}


def test_a_json_line_is_what_structlog_writes() -> None:
    import structlog

    output = io.BytesIO()
    theirs = structlog.wrap_logger(
        structlog.BytesLogger(output),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(
                serializer=lambda value, **_: json.dumps(value).encode()
            ),
        ],
    )
    theirs.info("task.done", name="a", attempt=1)
    expected = json.loads(output.getvalue())
    ours = json.loads(log.render_json(fields(name="a", attempt=1)))
    datetime.fromisoformat(expected.pop("timestamp"))
    assert ours.pop("timestamp") == "2025-01-02T03:04:05.678901Z"
    assert ours == expected


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.floats() | st.none()))
def test_json_is_always_one_line_that_can_be_read(more: dict[str, Any]) -> None:
    line = log.render_json({"event": "e", **more})
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert len(json.loads(line)) == len({"event": "e", **more})
    assert line[:-1].decode().isprintable()


def test_json_can_not_be_made_to_end_a_line_or_to_move_a_cursor() -> None:
    text = "a\u2028b\u2029c\x85d\x9b2Je\x7ff\u202eg\u200bh\U000e0001\n\r\x1b[2Jüß任🎉"
    line = log.render_json(fields(name=text, **{"key\u2028": 1}))
    shown = line.decode()
    assert shown.splitlines() == [shown[:-1]]
    assert shown[:-1].isprintable()
    assert "üß任🎉" in shown
    read = json.loads(line)
    assert read["name"] == text
    assert read["key\u2028"] == 1


@pytest.mark.parametrize("value", ["\ud800", 2**70, object()])
def test_values_that_json_does_not_know_are_written_as_text(value: object) -> None:
    line = json.loads(log.render_json(fields(value=value)))
    assert isinstance(line["value"], str)
    assert line["timestamp"].startswith("2025-01-02")


@given(st.text(), st.text(), st.text())
def test_nothing_forges_a_line_on_a_terminal(event: str, name: str, error: str) -> None:
    render = log.console_renderer(colors=False)
    text = render(fields(event=event, name=name, error=error)).decode()
    assert text.count("\n") == 1
    assert text[:-1].isprintable()


def test_lines_of_a_traceback_are_indented_and_escaped() -> None:
    render = log.console_renderer(colors=False)
    trace = 'Traceback\n  File "x"\nValueError: \x1b[2J\n00:00:00 [info] worker.stopped'
    head, *rest = render(fields(exception=trace)).decode().splitlines()
    assert head.startswith(NOW.astimezone().strftime("%H:%M:%S"))
    assert len(rest) == 4
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_levels_are_filtered() -> None:
    lines: list[bytes] = []
    logger = log.Logger(log.WARNING, log.render_json, lines.append)
    logger.debug("no")
    logger.info("no")
    logger.warning("yes", level_=1)
    logger.error("yes")
    assert [json.loads(line)["level"] for line in lines] == ["warning", "error"]


def test_a_process_without_standard_streams_puts_no_socket_there(tmp_path: Path) -> None:
    code = """
import os, socket, sys
from fluxqueue_core.service import log
log.configure().info("started")
with open(sys.argv[1], "w") as file, socket.socket() as one:
    file.write(f"{[os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)]} {one.fileno() > 2}")
"""
    command = [sys.executable, "-c", code, str(tmp_path / "result")]
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    subprocess.run(shell, check=True, timeout=60)
    assert (tmp_path / "result").read_text() == f"{['/dev/null'] * 3} True"


@pytest.fixture
def bare_root(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "root", root)
    return root


def test_standard_logging_gets_our_lines(bare_root: logging.Logger) -> None:
    bare_root.handlers.clear()  # pytest's own
    lines: list[bytes] = []
    standard_logging.adopt(log.Logger(log.INFO, log.render_json, lines.append))
    bare_root.debug("no")
    try:
        raise ValueError("bad")
    except ValueError:
        bare_root.exception("it %s\nforged", "failed")
    (line,) = lines
    found = json.loads(line)
    assert (found["level"], found["event"], found["logger"]) == (
        "error",
        "it failed\nforged",
        "root",
    )
    assert found["exception"].endswith("ValueError: bad")


def test_the_applications_own_handlers_stay_alone(bare_root: logging.Logger) -> None:
    mine = logging.NullHandler()
    bare_root.handlers[:] = [mine]  # without pytest's own
    standard_logging.adopt(log.Logger(log.INFO, log.render_json, lambda line: None))
    assert bare_root.handlers == [mine]
    assert bare_root.level == logging.WARNING


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# Each line as it has been from the first version on: level, name, fields in order.
LINES: list[tuple[Event, str, str, dict[str, Any]]] = [
    (Event.Connected("c"), "info", "worker.connected", {"consumer": "c"}),
    (Event.Disconnected("e"), "warning", "worker.disconnected", {"error": "e"}),
    (Event.LeaseLost("c", 2), "warning", "worker.lease_lost", {"consumer": "c", "running": 2}),
    (Event.OutcomeVoid("t"), "warning", "task.outcome_void", {"task_id": "t"}),
    (
        Event.Parked("t", "n", "r", None),
        "error",
        "task.parked",
        {"task_id": "t", "name": "n", "reason": "r"},
    ),
    (
        Event.Parked("t", "n", "r", TRACE),
        "error",
        "task.parked",
        {"task_id": "t", "name": "n", "reason": "r", "traceparent": TRACE},
    ),
    (
        Event.UnknownTask("t", "n", 0.5, None),
        "warning",
        "task.unknown",
        {"task_id": "t", "name": "n", "delay": 0.5},
    ),
    (
        Event.UnknownTask("t", "n", 0.5, TRACE),
        "warning",
        "task.unknown",
        {"task_id": "t", "name": "n", "delay": 0.5, "traceparent": TRACE},
    ),
    *(
        (kind("t", "n", trace), level, name, {"task_id": "t", "name": "n", **more})
        for kind, level, name in (
            (Event.Expired, "warning", "task.expired"),
            (Event.Cancelled, "info", "task.cancelled"),
        )
        for trace, more in ((None, {}), (TRACE, {"traceparent": TRACE}))
    ),
    (Event.CancelRequested("t"), "debug", "task.cancel_requested", {"task_id": "t"}),
    (Event.NewerVersion(3), "warning", "task.newer_version", {"count": 3}),
    (Event.Suspects(3), "debug", "worker.suspects", {"count": 3}),
    (Event.NoScheduler(9.5), "warning", "worker.no_scheduler", {"seconds": 9.5}),
    (Event.NoScheduler(None), "warning", "worker.no_scheduler", {"seconds": None}),
    (Event.Released(3), "info", "worker.released", {"count": 3}),
    (Event.NotRegistered("e"), "error", "worker.not_registered", {"error": "e"}),
    (Event.NoBlmove("e"), "error", "worker.no_blmove", {"error": "e"}),
    (Event.Failed("e"), "error", "worker.failed", {"error": "e"}),
]


@pytest.mark.parametrize(("event", "level", "name", "own"), LINES)
def test_an_event_of_the_consumer_becomes_a_line(
    lines: Any, event: Event, level: str, name: str, own: dict[str, Any]
) -> None:
    ConsumerEvents(lines.logger("debug"), 7).write("q", event)
    (line,) = lines
    del line["timestamp"]
    assert line.pop("queues", None) == (7 if name == "worker.no_blmove" else None)
    remedy = line.pop("remedy", "")
    wanted = {"level": level, "event": name, **own, "queue": "q"}
    assert list(line.items()) == list(wanted.items())
    # Both happen if two applications share a Redis.
    assert ("namespace" in remedy) == (name in ("task.unknown", "worker.no_scheduler"))


def kinds_of_event() -> set[type]:
    """The kinds that the core declares."""
    return {v for v in vars(Event).values() if isinstance(v, type) and issubclass(v, Event)}


def test_the_table_has_every_kind_of_event() -> None:
    assert len(kinds_of_event()) >= 12
    assert set(KINDS) == kinds_of_event() == {type(event) for event, *_ in LINES}


def test_no_event_has_a_field_that_every_line_has() -> None:
    names = {name for kind in kinds_of_event() for name in vars(kind)["__match_args__"]}
    assert {"task_id", "consumer", "error"} <= names
    assert names.isdisjoint({"level", "timestamp", "event", "queue"})


def test_events_can_not_be_changed_and_are_compared_by_value() -> None:
    event = Event.LeaseLost(consumer="c", running=2)
    with pytest.raises(AttributeError):
        event.running = 3  # type: ignore[misc]
    different: list[Event] = [Event.LeaseLost("c", 3), Event.Connected("c")]
    assert event == Event.LeaseLost("c", 2)
    assert event not in different


def test_a_missing_scheduler_is_logged_once_a_minute(lines: Any) -> None:
    times = [1000.0, 1000.1, 1059.9, 1060.0, 1061.0]
    events = ConsumerEvents(lines.logger(), clock=iter(times).__next__)
    for _ in times:
        events.write("q", Event.NoScheduler(9))
    assert len(lines.named("worker.no_scheduler")) == 2


def test_a_missing_command_is_logged_once_a_minute_for_all_queues(lines: Any) -> None:
    times = [1000.0, 1000.1, 1060.0]
    events = ConsumerEvents(lines.logger(), 2, clock=iter(times).__next__)
    for queue in "aba":
        events.write(queue, Event.NoBlmove(f"a text with the key of {queue}"))
    assert [line["queue"] for line in lines.named("worker.no_blmove")] == ["a", "a"]


def imported_by(code: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        # The measurement of coverage would import some of them itself.
        env={name: value for name, value in os.environ.items() if "COV" not in name},
    )
    return set(result.stdout.split())


def test_a_worker_without_async_tasks_and_terminal_goes_without_the_large_modules() -> None:
    modules = imported_by(
        "import fluxqueue_worker.cli, fluxqueue_worker.worker, fluxqueue\n"
        "from fluxqueue_core.service import log\n"
        "log.configure('json').info('worker.started')"
    )
    assert "fluxqueue_worker.worker" in modules
    large = {"asyncio", "uvloop", "structlog", "ssl", "logging", "traceback", "subprocess"}
    assert modules & large == set()


def test_a_supervisor_goes_without_what_runs_tasks() -> None:
    modules = imported_by("import fluxqueue_worker.cli, fluxqueue_worker.supervisor")
    assert "fluxqueue_worker.process" in modules
    ours = {"fluxqueue", "fluxqueue_worker.worker", "fluxqueue_worker.threads"}
    assert modules & (ours | {"asyncio", "opentelemetry", "ssl", "logging"}) == set()
