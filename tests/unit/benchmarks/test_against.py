"""Two builds are measured in alternation, and compared run by run."""

from __future__ import annotations

from pathlib import Path

import pytest
from fluxqueue_bench import against
from fluxqueue_bench.measures import Values
from fluxqueue_bench.measures.measure import Measure

OTHER = Path("/elsewhere")


def test_the_order_changes_from_run_to_run() -> None:
    taken: list[tuple[str, str]] = []

    def take(checkout: Path, measure: str, quick: bool) -> Values:
        taken.append(("this" if checkout == against.THIS else "other", measure))
        return {"tasks/s": 1.0}

    against.alternate(OTHER, "a", 2, True, take)
    assert taken == [(build, "a") for build in ("this", "other", "other", "this")]


def test_ratios_are_those_of_the_same_run() -> None:
    # The machine is half as fast in the second run; the ratio stays.
    speeds = iter([100.0, 80.0, 40.0, 50.0])

    def take(checkout: Path, measure: str, quick: bool) -> Values:
        return {"tasks/s": next(speeds), "only here" if checkout == against.THIS else "there": 1.0}

    pairs = against.alternate(OTHER, "a", 2, True, take)
    assert set(pairs) == {"tasks/s"}
    pair = pairs["tasks/s"]
    assert (pair.here, pair.there) == ([100, 50], [80, 40])
    assert pair.ratios == [1.25, 1.25]
    assert pair.ratio == 1.25
    assert str(pair) == "75 | 60 | 1.250 (1.250 to 1.250)"


def test_a_checkout_that_is_not_set_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="run scripts/setup there first"):
        against.main(tmp_path, True, 1, "")


def test_a_measurement_that_fails_says_why(tmp_path: Path) -> None:
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    (tmp_path / "benchmarks").mkdir()
    python.write_text("#!/bin/sh\necho no Redis here >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(RuntimeError, match="a measure: no Redis here"):
        against.take(tmp_path, "a measure", True)


def test_a_failed_measurement_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def take(checkout: Path, measure: str, quick: bool) -> Values:
        if measure == "first":
            raise RuntimeError("first: no Redis here")
        return {"tasks/s": 2.0 if checkout == against.THIS else 1.0}

    measures = [Measure(name, "Worker", lambda bench: {}) for name in ("first", "second")]
    monkeypatch.setattr(against, "suite", lambda quick: measures)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert against.main(tmp_path, True, 1, "", take) == 1
    printed = capsys.readouterr().out
    assert "# first: no Redis here" in printed
    assert "| second | tasks/s | 2 | 1 | 2.000 (2.000 to 2.000) |" in printed
