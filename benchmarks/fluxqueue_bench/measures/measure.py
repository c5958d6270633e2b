"""One measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fluxqueue_bench.distribution import percentiles
from fluxqueue_bench.harness import Bench

# What was measured, by its name and unit.
Values = dict[str, float]


@dataclass(frozen=True)
class Measure:
    """A name, and the function that measures once.

    Attributes:
        quick: whether `scripts/bench --quick` measures it.
        group: the heading under which the report has it.
    """

    name: str
    group: str
    run: Callable[[Bench], Values]
    quick: bool = False


def between(first: int, last: int) -> int:
    """How many tasks ran between two looks at the records, for the CPU of each.

    Raises:
        RuntimeError: none, so that nothing can be said: the benchmark itself was
            kept waiting in the meantime.
    """
    if last <= first:
        raise RuntimeError(f"{first} tasks had run at the first look, and none came after it")
    return last - first


def latency(bench: Bench) -> Values:
    """From the call to the end, of the tasks whose number is the time of their sending."""
    delays = sorted((end - sent) / 1e6 for sent, end, _ in bench.records() if sent > 10**15)
    return percentiles(delays)
