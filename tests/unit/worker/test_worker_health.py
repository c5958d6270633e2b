"""The parts of the worker's health."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_worker.health import WorkerHealth

PATIENCE = 10.0


class Signs:
    """The signs of life of a consumer."""

    turn_age = 0.5

    def __init__(self) -> None:
        self.disconnected: list[str] = []


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signs() -> Any:
    return Signs()


@pytest.fixture
def health(signs: Any, clock: Clock) -> WorkerHealth:
    return WorkerHealth(signs, PATIENCE, clock)


def test_a_worker_that_turns_is_live_and_ready(health: WorkerHealth, clock: Clock) -> None:
    clock.now += PATIENCE
    assert health.live() == [] and health.ready() == []


def test_a_main_loop_that_does_not_turn_is_stuck(health: WorkerHealth, clock: Clock) -> None:
    clock.now += PATIENCE + 1
    assert health.live() == ["the main loop has not gone round for 11.0 s"]
    assert health.ready() == health.live()
    health.turn()
    assert health.live() == []


def test_a_consumer_that_does_not_turn_is_stuck(health: WorkerHealth, signs: Any) -> None:
    signs.turn_age = PATIENCE + 2
    assert health.live() == ["the thread that talks to Redis has not gone round for 12.0 s"]


def test_without_redis_it_is_live_and_not_ready(health: WorkerHealth, signs: Any) -> None:
    signs.disconnected = ["mail", "default"]
    assert health.live() == []
    assert health.ready() == [
        "Redis does not serve the queue mail",
        "Redis does not serve the queue default",
    ]


def test_while_it_drains_it_is_live_and_not_ready(health: WorkerHealth, signs: Any) -> None:
    signs.disconnected = ["default"]  # closed: that is what a drain does
    health.draining()
    assert health.live() == []
    assert health.ready() == ["the worker drains"]
