"""One measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fluxqueue_bench import machine
from fluxqueue_bench.distribution import percentiles
from fluxqueue_bench.harness import Bench

# The measured values, by name and unit.
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


class CpuSince:
    """The CPU time of a worker and of Redis per task, from now on.

    Args:
        worker: gives the worker's CPU seconds so far.
        ran: how many tasks have run by now.
    """

    def __init__(self, bench: Bench, worker: Callable[[], float], ran: int) -> None:
        self._bench, self._worker, self._ran = bench, worker, ran
        self._before = self._look()

    def _look(self) -> tuple[float, float]:
        return self._worker(), machine.cpu_seconds(self._bench.redis.pid)

    def until(self, ran: int) -> Values:
        """Returns the CPU time per 1,000 tasks, now that `ran` have run.

        Raises:
            RuntimeError: as `between`.
        """
        (worker_before, redis_before), (worker, redis) = self._before, self._look()
        thousands = between(self._ran, ran) / 1000
        return {
            "worker CPU s/1k": (worker - worker_before) / thousands,
            "Redis CPU s/1k": (redis - redis_before) / thousands,
        }


def latency(bench: Bench) -> Values:
    """From the call to the end, of the tasks whose number is the time of their sending."""
    delays = sorted((end - sent) / 1e6 for sent, end, _ in bench.records() if sent > 10**15)
    return percentiles(delays)
