"""Measures this build of FluxQueue and another one in alternation.

Each checkout measures itself with its own benchmarks, one measure at a time in the
order A B B A ... So a change in the machine's speed affects both, and the ratio holds
even if the figures drift.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable, Iterable
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
    run = subprocess.run(
        [str(python), "-c", _ONE, measure, "quick" if quick else "full"],
        cwd=checkout / "benchmarks",
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if run.returncode:
        raise RuntimeError(f"{checkout}: {measure}: {run.stderr[-600:].strip()}")
    values: Values = json.loads(run.stdout.splitlines()[-1])
    return values


def alternate(
    other: Path, measures: Iterable[str], repeats: int, quick: bool, take: Take = take
) -> dict[tuple[str, str], Pair]:
    """Measures both builds; the pairs, by measure and value."""
    pairs: dict[tuple[str, str], Pair] = {}
    for measure in measures:
        for repeat in range(repeats):
            order = (THIS, other) if repeat % 2 == 0 else (other, THIS)
            values = {checkout: take(checkout, measure, quick) for checkout in order}
            for what in values[THIS].keys() & values[other].keys():
                pair = pairs.setdefault((measure, what), Pair())
                pair.here.append(values[THIS][what])
                pair.there.append(values[other][what])
        print(f"# {measure}", flush=True)
    return pairs


def main(other: Path, quick: bool, repeats: int, only: str) -> int:
    """Prints the table; `other` is a checkout in which `scripts/setup` has run."""
    if not (other / ".venv/bin/python").exists():
        raise SystemExit(f"scripts/bench: {other} has no .venv; run scripts/setup there first")
    names = [measure.name for measure in suite(quick) if only.lower() in measure.name.lower()]
    print("| measure | value | this build | the other | ratio (least to most) |")
    print("|---|---|---|---|---|")
    for (measure, what), pair in sorted(alternate(other.resolve(), names, repeats, quick).items()):
        if only_plotted(what) or not pair.ratios:
            continue
        here, there = statistics.median(pair.here), statistics.median(pair.there)
        low, high = pair.ratios[0], pair.ratios[-1]
        ratio = f"{pair.ratio:.3f} ({low:.3f} to {high:.3f})"
        print(f"| {measure} | {what} | {here:,.4g} | {there:,.4g} | {ratio} |")
    return 0
