"""Two builds are measured in alternation, and compared run by run."""

from __future__ import annotations

from pathlib import Path

import pytest
from fluxqueue_bench import against
from fluxqueue_bench.measures import Values

OTHER = Path("/elsewhere")


def test_the_order_changes_from_run_to_run() -> None:
    taken: list[tuple[str, str]] = []

    def take(checkout: Path, measure: str, quick: bool) -> Values:
        taken.append(("this" if checkout == against.THIS else "other", measure))
        return {"tasks/s": 1.0}

    against.alternate(OTHER, ["a", "b"], 2, True, take)
    order = ["this", "other", "other", "this"]
    assert taken == [(build, measure) for measure in "ab" for build in order]


def test_ratios_are_those_of_the_same_run() -> None:
    # The machine is half as fast in the second run; the ratio stays.
    speeds = iter([100.0, 80.0, 40.0, 50.0])

    def take(checkout: Path, measure: str, quick: bool) -> Values:
        return {"tasks/s": next(speeds), "only here" if checkout == against.THIS else "there": 1.0}

    pairs = against.alternate(OTHER, ["a"], 2, True, take)
    assert set(pairs) == {("a", "tasks/s")}
    pair = pairs["a", "tasks/s"]
    assert (pair.here, pair.there) == ([100, 50], [80, 40])
    assert pair.ratios == [1.25, 1.25]
    assert pair.ratio == 1.25


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
