"""How long a verb takes, and how long its slowest call keeps Redis busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MOST_MS = 200.0
MOST_BUSY_MS = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """The measured times of a verb, in ms; `busy` is the CPU time of Redis for each of the `calls`
    of a run, and `slowest` the longest call by the clock, in the best run."""

    name: str
    median: float
    p95: float
    busy: float
    calls: float
    slowest: float

    @property
    def is_fast(self) -> bool:
        """Whether it keeps what issue and docs promise."""
        return self.p95 < MOST_MS and self.busy < MOST_BUSY_MS


def measure(redis: Any, name: str, verb: Callable[[], Any], repeats: int) -> Row:
    """Runs a verb several times. Once before, so that scripts are loaded."""
    verb()
    redis.config_set("slowlog-log-slower-than", 500)
    redis.config_set("slowlog-max-len", 1_000)
    times, slowest = [], []
    scripts, commands, cpu = _counted(redis)
    for _ in range(repeats):
        redis.slowlog_reset()
        began = time.perf_counter()
        verb()
        times.append((time.perf_counter() - began) * 1_000)
        slow = redis.slowlog_get(1_000)
        slowest.append(max((int(each["duration"]) for each in slow), default=500))
    after = _counted(redis)
    # A verb that calls scripts or scans calls little else. SLOWLOG is ours.
    calls = after[0] - scripts or max(after[1] - commands - 2 * repeats, 1)
    cpu = after[2] - cpu
    redis.config_set("slowlog-log-slower-than", -1)
    times.sort()
    p95 = times[min(len(times) - 1, round(0.95 * len(times)))]
    # On a busy machine a call is slow because Redis has to wait for a core.
    busy, best = cpu / calls * 1_000, min(slowest) / 1_000
    return Row(name, times[len(times) // 2], p95, busy, calls / repeats, best)


def _counted(redis: Any) -> tuple[int, int, float]:
    """The calls of scripts and scans so far, all commands, and seconds of CPU."""
    info = redis.info("cpu")
    cpu = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
    stats = redis.info("commandstats")
    heavy = (stats.get(f"cmdstat_{name}", {"calls": 0}) for name in ("evalsha", "zscan"))
    return (
        sum(int(each["calls"]) for each in heavy),
        int(redis.info("stats")["total_commands_processed"]),
        cpu,
    )


def print_rows(rows: Sequence[Row]) -> bool:
    """Prints a table; returns whether all are fast."""
    heads = ("median ms", "p95 ms", "calls", "Redis CPU ms", "slowest ms")
    print(f"\n{'verb':<42}" + "".join(f"{head:>14}" for head in heads))
    for row in rows:
        numbers = (row.median, row.p95, row.calls, row.busy, row.slowest)
        mark = "" if row.is_fast else "  SLOW"
        print(f"{row.name:<42}" + "".join(f"{number:>14.2f}" for number in numbers) + mark)
    return all(row.is_fast for row in rows)
