"""Measures this build of FluxQueue and another one in alternation.

Each checkout measures itself with its own benchmarks, one measure at a time in the
order A B B A ... So a change in the machine's speed affects both, and the ratio holds
even if the figures drift.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .distribution import only_plotted
from .harness import FOLDER
from .measures import Values, suite

THIS = FOLDER.parent
# The limit of one measure; the longest needs about a minute.
SECONDS = 300.0

# Takes one measure once in a checkout; the last argument: at the scale of a quick run.
Take = Callable[[Path, str, bool], Values]


@dataclass
class Pair:
    """The figures of both builds, run by run.

    Attributes:
        here: of this checkout.
        there: of the other one.
    """

    here: list[float] = field(default_factory=list)
    there: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of this build over that of the other."""
        other = statistics.median(self.there)
        return statistics.median(self.here) / other if other else float("nan")

    @property
    def ratios(self) -> list[float]:
        """Run by run."""
        pairs = zip(self.here, self.there, strict=True)
        return sorted(here / there for here, there in pairs if there)

    def __str__(self) -> str:
        here, there = statistics.median(self.here), statistics.median(self.there)
        low, high = self.ratios[0], self.ratios[-1]
        return f"{here:,.4g} | {there:,.4g} | {self.ratio:.3f} ({low:.3f} to {high:.3f})"


# Run by the other build's interpreter, with its own benchmarks: the measure and its scale.
_ONE = """
import json, sys
from fluxqueue_bench.harness import Bench
from fluxqueue_bench.measures import suite

name, quick = sys.argv[1:]
run, = (measure.run for measure in suite(quick == "quick") if measure.name == name)
with Bench() as bench:
    print(json.dumps(run(bench)))
"""


def take(checkout: Path, measure: str, quick: bool) -> Values:
    """Measures once, by the checkout's own interpreter and benchmarks.

    Raises:
        RuntimeError: the measurement failed.
    """
    python = checkout / ".venv/bin/python"
    # Both keep their compiled modules: a build that had none would compile in each run.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run(
        [str(python), "-c", _ONE, measure, "quick" if quick else "full"],
        cwd=checkout / "benchmarks",
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if run.returncode:
        raise RuntimeError(f"{checkout}: {measure}: {run.stderr[-600:].strip()}")
    values: Values = json.loads(run.stdout.splitlines()[-1])
    return values


def alternate(
    other: Path, measure: str, repeats: int, quick: bool, take: Take = take
) -> dict[str, Pair]:
    """Measures both builds; the pairs, by value."""
    pairs: dict[str, Pair] = {}
    for repeat in range(repeats):
        order = (THIS, other) if repeat % 2 == 0 else (other, THIS)
        values = {checkout: take(checkout, measure, quick) for checkout in order}
        for what in values[THIS].keys() & values[other].keys():
            pair = pairs.setdefault(what, Pair())
            pair.here.append(values[THIS][what])
            pair.there.append(values[other][what])
    return pairs


def main(other: Path, quick: bool, repeats: int, only: str, take: Take = take) -> int:
    """Prints the table, row by row; `other` is a checkout in which `scripts/setup` has run.

    Returns 1 if a measurement failed. It takes the others even so.
    """
    if not (other / ".venv/bin/python").exists():
        raise SystemExit(f"scripts/bench: {other} has no .venv; run scripts/setup there first")
    failed = 0
    print("| measure | value | this build | the other | ratio (least to most) |")
    print("|---|---|---|---|---|")
    for measure in (
        measure.name for measure in suite(quick) if only.lower() in measure.name.lower()
    ):
        try:
            pairs = alternate(other.resolve(), measure, repeats, quick, take)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failed = 1
            print(f"# {error}", flush=True)
            continue
        for what, pair in sorted(pairs.items()):
            if not only_plotted(what) and pair.ratios:
                print(f"| {measure} | {what} | {pair} |", flush=True)
    return failed
