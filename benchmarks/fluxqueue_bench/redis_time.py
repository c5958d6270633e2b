"""`scripts/bench redis`: where Redis' share of a task goes.

Redis times each command, those that scripts call as well. What is left of the
script's own time is Lua: the script, and what goes to and fro between it and Redis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import machine
from .harness import Bench

_TASKS = 600_000
_SCRIPT = "evalsha"
# What exchange.lua calls for each batch of messages or outcomes.
_INSIDE = ("rpop", "hmget", "hset", "hdel")


def shares(stats: Mapping[str, Any], cpu: float, tasks: int) -> dict[str, float]:
    """Parts of Redis' processor time for a task, in µs; together they are all of it.

    Args:
        stats: what `INFO commandstats` says, as redis-py reads it.
        cpu: seconds that the process took in the same time.
    """
    spent = {name.removeprefix("cmdstat_"): int(stat["usec"]) for name, stat in stats.items()}
    inside = {name.upper(): spent.get(name, 0) / tasks for name in _INSIDE}
    script = spent.get(_SCRIPT, 0) / tasks
    return {
        **inside,
        "Lua": script - sum(inside.values()),
        "connections and the rest": cpu * 1e6 / tasks - script,
    }


def main() -> int:
    """Prints a table."""
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    with Bench() as bench:
        bench.enqueue("fill", _TASKS)
        bench.client.config_resetstat()
        before = machine.cpu_seconds(bench.redis.pid)
        with bench.worker():
            bench.wait_for(_TASKS)
            cpu = machine.cpu_seconds(bench.redis.pid) - before
            found = shares(bench.client.info("commandstats"), cpu, _TASKS)
    print("\n| part of a task in Redis | µs |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} |")
    print(f"| together | {sum(found.values()):.2f} |")
    return 0
