"""Plots have what a run has measured, and say what it has not."""

from __future__ import annotations

from pathlib import Path

import pytest
from fluxqueue_bench.costs import backlog_costs
from fluxqueue_bench.distribution import LONGEST, height, percentiles
from fluxqueue_bench.results import Row, Spread, spreads


def backlog_rows() -> list[Row]:
    return [
        Row("fluxqueue", "Backlog", name, repeat, {"worked/s": rate})
        for repeat, rate in enumerate((100_000.0, 125_000.0, 200_000.0))
        for name in ("10,000 waiting, 1,000,000 delayed", "5,000,000 waiting", "10,000 waiting")
    ]


def test_a_backlog_costs_what_its_rate_leaves_for_a_task() -> None:
    cost = Spread(8.0, 5.0, 10.0)
    assert backlog_costs(spreads(backlog_rows()), "worked/s") == [
        (10_000, 0, cost),
        (5_000_000, 0, cost),
        (10_000, 1_000_000, cost),
    ]
    assert backlog_costs(spreads(backlog_rows()), "enqueued/s") == []


def test_each_nine_is_a_step_on_the_axis_and_the_longest_is_above_all() -> None:
    assert [height(level, 99.9) for level in (0, 90, 99, 99.9)] == pytest.approx([0, 1, 2, 3])
    assert height(LONGEST, 99.9) == pytest.approx(3.5)
    assert height(LONGEST, 99) == pytest.approx(2.5)


def test_every_plot_is_drawn_with_what_there_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="benchmarks/requirements-report.txt has it")
    from fluxqueue_bench import plots

    delays = percentiles([number / 1_000 for number in range(1, 1_001)])
    rows = [
        *backlog_rows(),
        Row("huey", "Idle, compared", "1 thread (default)", 0, delays),
        Row("huey", "Enqueue, compared", "seq", 0, {"tasks/s": 1_000.0}),
    ]
    full = {path.stem: path.read_text() for path in plots.draw(spreads(rows), tmp_path)}
    assert set(full) == {"worker", "enqueue", "cpu", "latency", "backlog"}
    # Text is drawn as glyphs, with what it says in a comment.
    assert "<!-- huey -->" in full["latency"]
    assert full["latency"].count("<!-- not measured -->") == 1  # FluxQueue's own
    assert "<!-- and 1,000,000 delayed -->" in full["backlog"]
    nothing = {path.stem: path.read_text() for path in plots.draw({}, tmp_path)}
    assert all("<!-- not measured -->" in drawn for drawn in nothing.values())
