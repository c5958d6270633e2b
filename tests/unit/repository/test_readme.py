"""README.md: its figures are those of docs/benchmarks.md, its commands those of CI, its
flags those of the worker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fluxqueue_worker.cli import main

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "README.md").read_text()
BENCHMARKS = (ROOT / "docs/benchmarks.md").read_text()
# The rows of the README, as the columns of docs/benchmarks.md; two columns have one name.
FIGURES = {
    "tasks run per second": "worker, best settings, /s",
    "worker CPU, s per 1,000 tasks": "CPU s/1k (best)",
    "tasks enqueued per second, one at a time": "enqueue one at a time, /s",
    "idle worker, MiB (PSS)": "idle PSS MiB",
    "latency of an idle worker, p50, ms": "idle p50 ms",
}


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose head begins with this cell."""
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def median(cell: str) -> str:
    """Returns a cell without its range."""
    return cell.split(" (")[0]


def measured() -> dict[str, dict[str, str]]:
    """Library -> column -> median and range, in docs/benchmarks.md."""
    head, *rows = table(BENCHMARKS, "library")
    columns = [f"{name} (best)" if name in head[:at] else name for at, name in enumerate(head)]
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


def test_the_figures_are_those_of_the_benchmarks() -> None:
    head, *rows = table(PAGE, "best settings, two cores")
    libraries = [name.lower().replace("taskiq", "taskiq_stream") for name in head[1:]]
    assert libraries[0] == "fluxqueue"
    assert [row[0] for row in rows] == list(FIGURES)
    results = measured()
    for name, *cells in rows:
        wanted = [results[library][FIGURES[name]] for library in libraries]
        # A cell may leave the range out; if it has one, that must be right too.
        assert [median(cell) for cell in cells] == [median(cell) for cell in wanted]
        ranges = {(cell, want) for cell, want in zip(cells, wanted, strict=True) if "(" in cell}
        assert {cell for cell, want in ranges if cell != want} == set()
    assert "(" in rows[0][1], "the rate varies too much to be shown without its range"


def test_the_fastest_others_are_thirty_and_forty_times_slower() -> None:
    def figures(column: str) -> dict[str, float]:
        cells = {name: row[column] for name, row in measured().items() if row[column] != "-"}
        return {name: float(median(cell).replace(",", "")) for name, cell in cells.items()}

    assert "twelve other libraries" in PAGE
    names = {re.sub(r"_(list|stream|async)$", "", name) for name in measured()}
    assert len(names - {"fluxqueue"}) == 12
    rates, seconds = figures("worker, best settings, /s"), figures("CPU s/1k (best)")
    others = sorted(rates.keys() - {"fluxqueue", "fluxqueue_async"}, key=rates.__getitem__)
    assert others[-2:] == ["dramatiq", "fluxqueue_0_3_2"]
    assert "fluxqueue 0.3.2 (another project)" in PAGE
    assert "Dramatiq, the next," in PAGE
    for name, factor in {"fluxqueue_0_3_2": 30, "dramatiq": 40}.items():
        assert factor <= rates["fluxqueue"] / rates[name] < factor + 10
    assert seconds["fluxqueue_0_3_2"] / seconds["fluxqueue"] >= 30


def test_every_script_that_it_names_runs_in_the_ci() -> None:
    ran = (ROOT / ".ci/run").read_text()
    named = set(re.findall(r"scripts/[\w-]+", PAGE))
    assert named >= {"scripts/demo", "scripts/bench", "scripts/chaos"}
    assert {script for script in named if not re.search(rf"^ *{script}\b", ran, re.M)} == set()


def test_the_map_links_every_page() -> None:
    wanted = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", PAGE[PAGE.index("## The map") :]))
    assert len(wanted) > 20
    assert wanted - linked == set()


def test_the_flags_are_those_of_the_worker(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    _, *rows = table(PAGE, "flag")
    assert len(rows) >= 6
    for flags, variable, default in rows:
        for flag in re.findall(r"-[\w-]+", flags):
            assert f"{flag} " in text or f"{flag}," in text
        said = re.search(rf"\({variable.strip('`')}(?:, default: ([^)]*))?\)", text)
        assert said, variable
        first = default.replace("`", "").split(";")[0]
        assert said[1] in (None, first) or (said[1], first) == ("yes", "saved")
