"""A latency is kept as a curve, and shown as three figures."""

from __future__ import annotations

import pytest
from fluxqueue_bench import report
from fluxqueue_bench.distribution import LEVELS, curve, only_plotted, percentiles
from fluxqueue_bench.results import Row, spreads


def test_a_percentile_is_the_delay_that_this_share_does_not_exceed() -> None:
    found = percentiles([float(number) for number in range(1, 1_001)])
    assert found["p0 ms"] == 1
    assert found["p1 ms"] == 10
    assert found["p50 ms"] == 500
    assert found["p99 ms"] == 990
    assert found["p99.9 ms"] == 999
    assert found["max ms"] == 1_000
    assert "p99.99 ms" not in found  # that is the longest of a thousand


def test_few_delays_have_a_p99_but_nothing_finer() -> None:
    assert percentiles([1.0]) == {"p50 ms": 1, "p99 ms": 1, "max ms": 1}
    found = percentiles([float(number) for number in range(1, 51)])
    assert found["p95 ms"] == 48 and found["p99 ms"] == found["max ms"] == 50
    assert "p99.9 ms" not in found


def test_no_delays_are_an_error() -> None:
    with pytest.raises(ValueError, match="no task has left a record"):
        percentiles([])


def test_a_curve_goes_from_the_least_to_the_longest() -> None:
    points = curve(percentiles([number / 10_000 for number in range(1, 20_001)]))
    assert [level for level, _ in points] == [*LEVELS, 100]
    assert points == sorted(points)
    assert points[0] == (0.0, 0.0001)
    assert points[-1] == (100.0, 2.0)


def test_a_result_of_before_curves_has_its_three_points() -> None:
    assert curve({"p50 ms": 0.3, "p99 ms": 0.5, "max ms": 0.6, "PSS MiB": 13.0}) == [
        (50, 0.3),
        (99, 0.5),
        (100, 0.6),
    ]
    assert curve({"tasks/s": 1.0}) == []


def test_tables_have_three_figures_of_it() -> None:
    values = percentiles([float(number) for number in range(1, 1_001)])
    assert [what for what in values if not only_plotted(what)] == ["p50 ms", "p99 ms", "max ms"]
    row = Row("fluxqueue", "Idle", "idle, concurrency 4", 0, values)
    assert report.own_table(spreads([row]), "Idle").count("| idle, concurrency 4 |") == 3
