"""How long a verb takes, and how long its worst call keeps Redis busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .busy import Busy

MOST_MS = 200.0
MOST_BUSY_MS = 5.0
# Runs in which each command is measured alone.
_RUNS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """The measured times of a verb, in ms.

    Attributes:
        first: the first run, which loads scripts, and builds the index of groups if it needs it. It
            includes the questions about the CPU time.
        calls: commands of a run.
        first_busy: the CPU time of Redis for the worst command of the first run.
        median_busy, busy: the same of the other runs: the median, and the worst of them.
        worst: the name of the command of `busy`.
    """

    name: str
    first: float
    median: float
    p95: float
    calls: int
    first_busy: float
    median_busy: float
    busy: float
    worst: str

    @property
    def is_fast(self) -> bool:
        """Whether it keeps what issue and docs promise."""
        return self.p95 < MOST_MS and max(self.busy, self.first_busy) < MOST_BUSY_MS


def measure(redis: Any, name: str, verb: Callable[[], Any], repeats: int) -> Row:
    """Runs a verb several times."""
    began = time.perf_counter()
    first_spent, _, _ = _measured(redis, verb)
    first = (time.perf_counter() - began) * 1_000
    times = sorted(_timed(verb) for _ in range(repeats))
    p95 = times[min(len(times) - 1, round(0.95 * len(times)))]
    runs = sorted(_measured(redis, verb) for _ in range(_RUNS))
    spent, worst, calls = runs[-1]
    busy = (first_spent, runs[len(runs) // 2][0], spent)
    return Row(name, first, times[len(times) // 2], p95, calls, *busy, worst)


def _measured(redis: Any, verb: Callable[[], Any]) -> tuple[float, str, int]:
    """Runs a verb; returns the CPU time of Redis for its worst command, the name of that, and how
    many commands there were."""
    busy = Busy(redis)
    with busy.watching():
        verb()
    spent, worst = max(((ms, name) for name, ms in busy.worst.items()), default=(0.0, ""))
    return spent, worst, sum(busy.calls.values())


def _timed(verb: Callable[[], Any]) -> float:
    began = time.perf_counter()
    verb()
    return (time.perf_counter() - began) * 1_000


def print_rows(rows: Sequence[Row]) -> bool:
    """Prints a table; returns whether all are fast."""
    heads = (
        "first ms",
        "median ms",
        "p95 ms",
        "commands",
        "first CPU ms",
        "median CPU",
        "worst CPU ms",
    )
    print(f"\n{'verb':<50}" + "".join(f"{head:>14}" for head in heads) + "  worst command")
    for row in rows:
        numbers = f"{row.first:>14.2f}{row.median:>14.2f}{row.p95:>14.2f}{row.calls:>14}"
        numbers += f"{row.first_busy:>14.2f}{row.median_busy:>14.2f}"
        mark = "" if row.is_fast else "  SLOW"
        print(f"{row.name:<50}{numbers}{row.busy:>14.2f}  {row.worst}{mark}")
    return all(row.is_fast for row in rows)
