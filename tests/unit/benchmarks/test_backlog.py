"""The costs of backlogs are compared for the same work."""

from __future__ import annotations

import pytest
from fluxqueue_bench.goals import GOALS, Goal
from fluxqueue_bench.harness import Bench
from fluxqueue_bench.measures.backlog import rate_after_warm_up, top_up
from fluxqueue_bench.results import Row, spreads
from fluxqueue_core import key


def test_the_rate_is_that_of_equally_many_tasks_after_the_warm_up() -> None:
    slow = [number * 1_000_000 for number in range(10)]  # 1,000 a second
    fast = [slow[-1] + number * 10_000 for number in range(1, 200)]  # 100,000 a second
    assert rate_after_warm_up([*slow, *fast], 10, 100) == pytest.approx(100_000)
    assert rate_after_warm_up(slow, 0, 10) == pytest.approx(1_000)


def test_too_few_tasks_have_no_rate() -> None:
    with pytest.raises(ValueError, match="109 tasks have run, 110 are needed"):
        rate_after_warm_up(list(range(109)), 10, 100)


def test_tasks_that_were_taken_are_replaced_behind_those_that_wait() -> None:
    pending = key("pending", "default")
    with Bench() as bench:
        bench.client.lpush("bench:reserve", *[f"new {number}" for number in range(2_600)])
        bench.client.lpush(pending, "old 0", "old 1")
        top_up(bench, 2_500)
        assert bench.client.llen(pending) == 2_500
        assert bench.client.lrange(pending, -3, -1) == [b"new 0", b"old 1", b"old 0"]
        top_up(bench, 2_500)
        assert bench.client.llen("bench:reserve") == 102
        top_up(bench, 10_000)  # no more than there are
        assert bench.client.llen(pending) == 2_602


def growth(what: str) -> Goal:
    (found,) = [goal for goal in GOALS if goal.measure.startswith(f"{what} cost with")]
    return found


def test_the_worst_large_backlog_counts() -> None:
    rates = {
        "10,000 waiting": 110_000.0,
        "5,000,000 waiting": 100_000.0,
        "10,000 waiting, 1,000,000 delayed": 88_000.0,
    }
    rows = [
        Row("fluxqueue", "Backlog", name, 0, {"worked/s": rate, "enqueued/s": 9_000.0})
        for name, rate in rates.items()
    ]
    goal = growth("worker")
    assert goal.value(spreads(rows)) == pytest.approx(1.25)
    assert not goal.reached(1.25)
    assert growth("enqueue").value(spreads(rows)) == 1
    with pytest.raises(KeyError):
        goal.value(spreads(rows[:2]))
