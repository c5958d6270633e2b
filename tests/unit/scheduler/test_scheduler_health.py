"""The scheduler's health follows from the state of its loops."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from fluxqueue_scheduler.health import LEAST_PATIENCE, SchedulerHealth


class FakeLoop:
    overdue = 0.0
    error = ""

    def __init__(self, name: str) -> None:
        self.name = name


class FakeWork:
    error = ""

    def __init__(self) -> None:
        self.loops = [FakeLoop("promote"), FakeLoop("rescue")]


@pytest.fixture
def work() -> Any:
    return FakeWork()


def test_loops_in_time_are_live_and_ready(work: Any) -> None:
    health = SchedulerHealth(work, threading.Event(), lease=1.0)
    work.loops[0].overdue = LEAST_PATIENCE
    assert health.live() == [] and health.ready() == []


def test_a_late_loop_is_stuck(work: Any) -> None:
    health = SchedulerHealth(work, threading.Event(), lease=20.0)
    work.loops[1].overdue = 19.9
    assert health.live() == []
    work.loops[1].overdue = 20.1
    assert health.live() == ["the loop rescue is 20.1 s late"]
    assert health.ready() == health.live()


def test_a_failing_loop_is_not_ready(work: Any) -> None:
    health = SchedulerHealth(work, threading.Event(), lease=10.0)
    work.loops[0].error = "Redis is away: refused"
    assert health.live() == []
    assert health.ready() == ["the loop promote failed: Redis is away: refused"]


def test_at_its_end_it_is_not_ready(work: Any) -> None:
    stop = threading.Event()
    health = SchedulerHealth(work, stop, lease=10.0)
    stop.set()
    assert health.live() == []
    assert health.ready() == ["the scheduler ends"]


def test_without_the_names_of_the_queues_it_is_not_ready(work: Any) -> None:
    health = SchedulerHealth(work, threading.Event(), lease=10.0)
    work.error = "the names of the queues can't be read: WRONGTYPE"
    assert health.live() == []
    assert health.ready() == [work.error]
