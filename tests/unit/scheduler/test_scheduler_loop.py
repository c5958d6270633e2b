"""A loop survives every error, and logs each of them once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import redis
from fluxqueue_control.errors import BrokerNotReady
from fluxqueue_core.service import log
from fluxqueue_core.service.log import Fields
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.loop import Loop
from fluxqueue_scheduler.outages import Outages
from support.log_lines import Lines
from support.waiting import PATIENCE


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(log, "_logger", lines.logger("debug"))
    return lines


def events(lines: list[Fields]) -> list[str]:
    return [line["event"] for line in lines]


def run_steps(steps: Iterator[Callable[[], float]], outages: Outages | None = None) -> None:
    """Runs a loop through these steps."""
    stop = threading.Event()

    def step() -> float:
        following = next(steps, None)
        if following is None:
            stop.set()
            return 0.0
        return following()

    loop = Loop("test", step, stop, outages or Outages(), ErrorLog())
    loop.start()
    loop.join(PATIENCE)
    assert not loop.is_alive()


def failing(error: Exception) -> Callable[[], float]:
    def step() -> float:
        raise error

    return step


def fine() -> float:
    return 0.0


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("refused"),
        redis.TimeoutError("late"),
        redis.BusyLoadingError("loading"),
        redis.AuthenticationError("wrong"),
        BrokerNotReady("READONLY"),
        ConnectionResetError("reset"),
    ],
)
def test_an_outage_is_logged_once_and_so_is_its_end(lines: list[Fields], error: Exception) -> None:
    run_steps(iter([fine, failing(error), failing(error), fine, fine, failing(error), fine]))
    assert events(lines) == ["redis.unavailable", "redis.available"] * 2
    assert lines[0]["error"] == str(error)


def test_any_other_error_is_logged_with_its_traceback_and_the_loop_goes_on(
    lines: list[Fields],
) -> None:
    done: list[bool] = []

    def last() -> float:
        done.append(True)
        return 0.0

    run_steps(iter([failing(ZeroDivisionError("oops")), failing(ZeroDivisionError("oops")), last]))
    assert done == [True]
    assert events(lines) == ["scheduler.failed"]
    assert "ZeroDivisionError: oops" in lines[0]["exception"]


def test_an_outage_of_all_loops_is_one_outage(lines: list[Fields]) -> None:
    outages = Outages()
    for loop in ("a", "b", "c"):
        outages.began(loop, redis.ConnectionError())
    for loop in ("c", "a"):
        outages.ended(loop)
        outages.ended(loop)
    assert events(lines) == ["redis.unavailable"]
    assert lines[0]["error"] == "ConnectionError", "an error without a text has its name"
    outages.ended("b")
    assert events(lines) == ["redis.unavailable", "redis.available"]


def test_a_persistent_error_is_logged_once_a_minute(
    lines: list[Fields], monkeypatch: pytest.MonkeyPatch
) -> None:
    time = [100.0]
    monkeypatch.setattr("fluxqueue_scheduler.error_log.time.monotonic", lambda: time[0])
    error_log = ErrorLog()
    error_log.report_queue("a", "sweep", ValueError("v"))
    error_log.report_queue("a", "sweep", ValueError("v"))
    error_log.report_queue("a", "promote", ValueError("v"))
    error_log.report_queue("b", "sweep", ValueError("v"))
    assert [(line["queue"], line["doing"]) for line in lines] == [
        ("a", "sweep"),
        ("a", "promote"),
        ("b", "sweep"),
    ]
    time[0] += 61
    error_log.report_queue("a", "sweep", ValueError("v"))
    assert len(lines) == 4
