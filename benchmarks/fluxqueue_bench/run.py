"""Takes the measures of a run, and prints and keeps what it finds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from . import machine
from .distribution import only_plotted
from .harness import Bench
from .measures import Values, suite
from .peers import comparison
from .peers.library import Library, all_libraries
from .results import Results, Row, spreads

# A measurement may end with these errors without ending the run.
_FAILURES = (
    *(RuntimeError, OSError, ValueError, ArithmeticError),
    *(subprocess.SubprocessError, redis.RedisError),
)


@dataclass(frozen=True)
class _Step:
    library: str
    group: str
    name: str
    run: Callable[[], Values]


class Runner:
    """One run.

    Args:
        output: where the results go; None only prints them.
        only: measures whose name or library has this in it.
    """

    def __init__(self, command: str, repeats: int, output: Path | None, only: str = "") -> None:
        self._results = Results(machine.describe(), command)
        self._repeats = repeats
        self._output = output
        self._only = only.lower()
        self._bench = Bench()

    def run(self, quick: bool, peers: list[str]) -> int:
        """Measures everything as often as asked for; the number of failures.

        All is measured once, then all again, so that what else the machine does
        for a while falls on all alike.
        """
        about = ", ".join(f"{name} {value}" for name, value in self._results.machine.items())
        print(f"{about}\n", flush=True)
        with self._bench:
            steps = self._own(quick) + self._compared(peers)
            for repeat in range(self._repeats):
                for step in steps:
                    self._take(step, repeat)
        self._print()
        return sum(row.error is not None for row in self._results.rows)

    def _own(self, quick: bool) -> list[_Step]:
        def bound(run: Callable[[Bench], Values]) -> Callable[[], Values]:
            return lambda: run(self._bench)

        return [
            _Step("fluxqueue", measure.group, measure.name, bound(measure.run))
            for measure in suite(quick)
            if self._wanted("fluxqueue", measure.name)
        ]

    def _compared(self, names: list[str]) -> list[_Step]:
        def bound(
            run: Callable[[Bench, Library], Values], library: Library
        ) -> Callable[[], Values]:
            return lambda: run(self._bench, library)

        found = []
        for library in (library for library in all_libraries() if library.name in names):
            self._results.versions[library.name] = library.versions()
            for left_out in (settings for settings in library.workers if not settings.available):
                why = f"left out, as {left_out.needs} is not set (benchmarks/README.md)"
                print(f"# {library.name}: {left_out.name}: {why}", flush=True)
            for measured in comparison.measures(library):
                if self._wanted(library.name, measured.name):
                    run = bound(measured.run, library)
                    found.append(_Step(library.name, measured.group, measured.name, run))
        return found

    def _wanted(self, library: str, name: str) -> bool:
        return self._only in f"{library} {name}".lower()

    def _take(self, step: _Step, repeat: int) -> None:
        began = time.monotonic()
        try:
            values, error = step.run(), None
        except _FAILURES as failure:
            values, error = {}, (str(failure) or type(failure).__name__)[-600:]
        row = Row(step.library, step.group, step.name, repeat, values, error)
        self._results.rows.append(row)
        if self._output is not None:
            self._results.save(self._output)
        shown = error or ", ".join(
            f"{what} {value:,.4g}" for what, value in values.items() if not only_plotted(what)
        )
        took = time.monotonic() - began
        print(f"# {repeat + 1} {step.library}: {step.name}: {shown} [{took:.1f} s]", flush=True)

    def _print(self) -> None:
        print("\n| library | measure | unit | median (range) |\n|---|---|---|---|")
        for (library, group, name, what), spread in spreads(self._results.rows).items():
            if not only_plotted(what):
                print(f"| {library} | {group}: {name} | {what} | {spread} |")
        if self._output is not None:
            print(f"\nwritten: {self._output}")
