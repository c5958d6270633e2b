"""`scripts/bench shares`: where the processor time of a task goes, in worker and Redis.

Redis times each command, including those that scripts call. The rest of the script's
own time is Lua: the script, and the data that passes between it and Redis.
These times are by the clock: where Redis had to wait for a core, they are a little
more than its processor time, and the rest is less than nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import machine
from .harness import Bench

_TASKS = 600_000
_SCRIPT = "evalsha"
# The commands that `exchange` calls for each batch of messages or outcomes.
_INSIDE = ("rpop", "hmget", "hset", "hdel")
# The kernel keeps 15 characters of a thread's name.
_DRIVER = "fluxqueue-driver"[:15]

Shares = dict[str, float]


def of_redis(stats: Mapping[str, Any], cpu: float, tasks: int) -> Shares:
    """Parts of Redis' processor time for a task, in µs; together they are all of it.

    Args:
        stats: what `INFO commandstats` says, as redis-py reads it.
        cpu: seconds that the process took in the same time.
    """
    spent = {name.removeprefix("cmdstat_"): int(stat["usec"]) for name, stat in stats.items()}
    inside = {f"Redis: {name.upper()}": spent.get(name, 0) / tasks for name in _INSIDE}
    script = spent.get(_SCRIPT, 0) / tasks
    return {
        **inside,
        "Redis: Lua, and what goes to and fro": script - sum(inside.values()),
        "Redis: connections and the rest": cpu * 1e6 / tasks - script,
    }


def of_worker(threads: Mapping[str, float], tasks: int) -> Shares:
    """Parts of a worker's processor time for a task, in µs.

    Args:
        threads: seconds by the name of the thread; those with one name together.
    """
    driver = threads.get(_DRIVER, 0.0)
    return {
        "worker: the thread that talks to Redis": driver * 1e6 / tasks,
        "worker: threads that run tasks": (sum(threads.values()) - driver) * 1e6 / tasks,
    }


def main() -> int:
    """Prints a table."""
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    with Bench() as bench:
        bench.enqueue("fill", _TASKS)
        bench.client.config_resetstat()
        with bench.worker() as worker:
            bench.wait_for(1)
            done = bench.count()
            redis, threads = machine.cpu_seconds(bench.redis.pid), machine.by_thread(worker.pid)
            stats = bench.client.info("commandstats")
            bench.wait_for(_TASKS)
            cpu = machine.cpu_seconds(bench.redis.pid) - redis
            after = machine.by_thread(worker.pid)
            spent = _since(stats, bench.client.info("commandstats"))
    tasks = _TASKS - done
    of_threads = {name: seconds - threads.get(name, 0.0) for name, seconds in after.items()}
    found = of_worker(of_threads, tasks) | of_redis(spent, cpu, tasks)
    print("\n| part of a task | µs |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} |")
    print(f"| together | {sum(found.values()):.2f} |")
    return 0


def _since(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    def earlier(name: str) -> int:
        return int(before[name]["usec"]) if name in before else 0

    return {name: {"usec": int(stat["usec"]) - earlier(name)} for name, stat in after.items()}
