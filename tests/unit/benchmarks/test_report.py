"""The results of a run are kept and shown without loss."""

from __future__ import annotations

from pathlib import Path

import pytest
from fluxqueue_bench import __main__ as command_line
from fluxqueue_bench import report
from fluxqueue_bench.goals import GOALS
from fluxqueue_bench.measures import suite
from fluxqueue_bench.peers import comparison
from fluxqueue_bench.peers.environments import REQUIREMENTS
from fluxqueue_bench.peers.library import OWN, all_libraries
from fluxqueue_bench.results import Results, Row, Spread, spreads

ROOT = Path(__file__).parents[3]


def rows() -> list[Row]:
    name = "no-op, default settings"
    return [
        Row("fluxqueue", "Worker", name, 0, {"tasks/s": 100_000.0}),
        Row("fluxqueue", "Worker", name, 1, {"tasks/s": 160_000.0}),
        Row("fluxqueue", "Worker", name, 2, {"tasks/s": 151_000.0}),
        Row("huey", "Worker, compared", "1 thread (default)", 0, {"tasks/s": 2_000.0}),
        Row("huey", "Worker, compared", "best: 4 processes", 0, {"tasks/s": 8_000.0}),
        Row("rq", "Worker, compared", "fork worker (default)", 0, error="no task ran"),
    ]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = Results({"cores": "2"}, "scripts/bench --full", rows=rows())
    written.versions["huey"] = {"huey": "3"}
    written.save(tmp_path / "new" / "run.json")
    assert Results.load(tmp_path / "new" / "run.json") == written


def test_a_figure_is_the_median_with_its_range() -> None:
    found = spreads(rows())
    spread = found["fluxqueue", "Worker", "no-op, default settings", "tasks/s"]
    assert str(spread) == "151,000 (100,000 to 160,000)"


def test_goals_say_what_was_reached_and_what_was_not_measured() -> None:
    lines = report.goals(spreads(rows())).splitlines()
    (one,) = [line for line in lines if line.startswith("| worker no-op, one process")]
    measured = "| worker no-op, one process, tasks/s | at least 150,000 | 151,000 | yes |"
    assert (
        one
        == f"{measured} fluxqueue_0_3_2 12,997; dramatiq 4,813 | fluxqueue_0_3_2 -; dramatiq - |"
    )
    (two,) = [line for line in lines if line.startswith("| worker no-op, a process per core")]
    assert "not measured" in two


def test_a_missed_goal_is_said_so() -> None:
    slow = [Row("fluxqueue", "Worker", "no-op, default settings", 0, {"tasks/s": 149_000.0})]
    assert "| 149,000 | **no** |" in report.goals(spreads(slow))


def test_none_lost_is_shown_as_a_whole_number() -> None:
    values = {"s": 10.4, "lost": 0.0}
    found = spreads([Row("fluxqueue", "Scheduler", "SIGKILL recovery", 0, values)])
    assert "in any repeat | at most 0 | 0 | yes |" in report.goals(found)


def test_a_goal_has_its_peers_then_and_here() -> None:
    name = "one at a time, beside redis-benchmark (pinned to the same core)"
    values = {"of redis-benchmark": 0.96, "redis-benchmark LPUSH/s": 43_000.0}
    rows = [
        Row("huey", "Enqueue, compared", "seq", 0, {"tasks/s": 5_885.0}),
        Row("fluxqueue", "Enqueue", name, 0, values),
    ]
    (line,) = [line for line in report.goals(spreads(rows)).splitlines() if "the same core" in line]
    goal, here = line.split("huey 7,955/s; redis-benchmark 17,472/s")
    assert goal.endswith("| at least 0.95 | 0.960 | yes | ")
    assert here == " | huey 5,885/s; redis-benchmark 43,000/s |"


def test_every_peer_of_a_goal_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings_of in (library.workers for library in all_libraries()):
        for needed in {settings.needs for settings in settings_of if settings.needs}:
            monkeypatch.setenv(needed, "/a/program")
    settings = {
        (library.name, measured.group, measured.name)
        for library in all_libraries()
        for measured in comparison.measures(library)
    }
    own = {("fluxqueue", measure.group, measure.name) for measure in suite(quick=False)}
    asked = {peer.where[:3] for goal in GOALS for peer in goal.peers}
    assert len(asked) > 8
    assert asked <= settings | own


def test_peers_stand_side_by_side() -> None:
    (row,) = report.peers(spreads(rows())).splitlines()[2:]
    assert row.startswith("| huey | - | - | - | 2,000 | - | 8,000 | - |")


def test_peers_with_results_have_columns_for_them() -> None:
    assert "result" not in report.peers(spreads(rows()))
    values = {
        "one at a time, tasks/s": 2_500.0,
        "one at a time, p50 ms": 0.4,
        "1,000 in flight, tasks/s": 40_000.0,
    }
    measured = [*rows(), Row("fluxqueue", "Results, compared", "results", 0, values)]
    head, _, huey, own = report.peers(spreads(measured)).splitlines()
    assert head.endswith(
        "| result, one at a time, tasks/s | result, one at a time, p50 ms "
        "| result, 1,000 in flight, tasks/s |"
    )
    assert huey.endswith("| - | - | - |") and own.endswith("| 2,500 | 0.40 | 40,000 |")
    assert {line.count("|") for line in (head, huey, own)} == {15}


def test_a_later_run_alone_replaces_what_is_measured_alone_and_nothing_compared() -> None:
    full = Results({"cores": "2"}, "scripts/bench --full", rows=rows())
    name = "no-op, default settings"
    later = [Row("fluxqueue", "Worker", name, 0, {"tasks/s": 170_000.0})]
    alone = Results({"cores": "2"}, "scripts/bench --output alone.json", rows=later)
    found = report.together(full, alone)
    assert found["fluxqueue", "Worker", name, "tasks/s"] == Spread(170_000, 170_000, 170_000)
    assert found["huey", "Worker, compared", "1 thread (default)", "tasks/s"].median == 2_000
    assert report.together(full, None) == spreads(full.rows)
    shown = report.sections(full, alone, found)["run"]
    assert "`scripts/bench --full`" in shown and "`scripts/bench --output alone.json`" in shown


@pytest.mark.parametrize(("started", "read"), [(99.0, False), (101.0, True)])
def test_a_run_alone_is_read_only_if_it_is_later(
    tmp_path: Path, started: float, read: bool
) -> None:
    full = Results({}, "scripts/bench --full", started=100.0, rows=rows())
    assert report.later_alone(tmp_path / "alone.json", full) is None
    alone = Results({}, "scripts/bench --output alone.json", started=started, rows=rows()[:1])
    alone.save(tmp_path / "alone.json")
    assert report.later_alone(tmp_path / "alone.json", full) == (alone if read else None)


def test_report_reads_the_named_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.json"
    monkeypatch.setattr("sys.argv", ["scripts/bench", "report", "--results", str(missing)])
    assert command_line.main() == 1
    assert f"{missing} does not exist" in capsys.readouterr().err


def test_a_failure_is_in_the_report() -> None:
    text = report.about(Results({"cores": "2"}, "x", rows=rows()))
    assert "- rq, fork worker (default): no task ran" in text
    assert "the median of 3 repeats" in text
    assert "Versions" not in text  # none were kept


def test_every_goal_is_about_a_measure_that_there_is() -> None:
    class Asked(dict[tuple[str, str, str, str], Spread]):
        def __missing__(self, where: tuple[str, str, str, str]) -> Spread:
            asked.append(where[1:3])
            return Spread(1.0, 1.0, 1.0)

    asked: list[tuple[str, str]] = []
    for goal in GOALS:
        goal.value(Asked())
    there = {(measure.group, measure.name) for measure in suite(quick=False)}
    assert asked and set(asked) <= there


def test_every_library_can_be_read_and_has_its_requirements() -> None:
    libraries = all_libraries()
    assert [library.name for library in libraries[:2]] == ["fluxqueue", "fluxqueue_async"]
    assert len(libraries) >= 13
    for library in libraries:
        assert (library.folder / "app.py").exists()
        if library.environment != OWN:
            assert (REQUIREMENTS / f"{library.environment}.txt").exists()


def test_the_page_has_a_place_for_every_section() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    made = report.sections(Results({}, "x", rows=rows()), None, spreads(rows()))
    for name in made:
        assert page.count(f"<!-- begin: {name} -->") == page.count(f"<!-- end: {name} -->") == 1
