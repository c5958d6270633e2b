"""`scripts/bench limits`: what a claim costs while a million tasks wait for the places of their
limits, and how much memory a waiting task takes.

One consumer settles tasks and claims the next ones, ten at a time, as a worker does. The time is
that of the script in Redis, so the Python of the measure does not count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import Producer, Route, Settings, message_field, script, script_keys
from redis import Redis

from . import machine

QUEUE = "limits"
TASKS, QUICK_TASKS = 1_000_000, 100_000
# Few keys, and many.
KEYS, QUICK_KEYS = (100, 10_000), (100, 1_000)
# Exchanges that are measured, and tasks that each of them settles and claims.
EXCHANGES, AT_ONCE = 2_000, 10
LEASE = 3_600_000


def _digest(number: int) -> str:
    return f"{1:016x}{number:016x}"


def _fill(url: str, tasks: int, keys: int) -> None:
    """Enqueues tasks, by turns for each of the keys; without a limit if there is no key."""
    producer = Producer(Settings(url))
    route = Route(QUEUE, "work", limit=(1, 0, 1) if keys else None)

    def resolve(number: int) -> Any:
        limit = (_digest(number % keys), f"work [{number % keys}]") if keys else None
        return route, (number,), {}, None, None, None, limit

    producer.enqueue_many(route, range(tasks), print, resolve=resolve)
    producer.close()


class Worker:
    """A consumer that runs nothing."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._exchange = client.register_script(script("exchange"))
        open_ = client.register_script(script("open"))
        open_(keys=script_keys("open", QUEUE, "c"), args=["c", LEASE, "", 0])
        self._held: list[bytes] = []

    def exchange(self, *, plain: bool) -> int:
        """Settles what it holds, and claims; returns how many it has settled."""
        settled = len(self._held)
        fields = [message_field(raw) for raw in self._held]
        outcomes = [part for field in fields for part in (field, "done", "", "")]
        args = [settled, *fields] if plain else [0, *outcomes]
        reply = self._exchange(
            keys=script_keys("exchange", QUEUE, "c"),
            args=["c", LEASE, AT_ONCE, "pending", "1", 0, *args],
        )
        self._held = reply[2]
        return settled


@contextlib.contextmanager
def _filled(tasks: int, keys: int) -> Iterator[tuple[Any, float]]:
    """A server with waiting tasks, and how many bytes each of them takes."""
    with EmbeddedRedis(appendfsync="no") as server, Redis.from_url(server.url) as client:
        before = client.info("memory")["used_memory"]
        _fill(server.url, tasks, keys)
        yield client, (client.info("memory")["used_memory"] - before) / tasks


def measure(tasks: int, keys: int) -> dict[str, float]:
    """Measures one number of keys; 0: tasks without a limit."""
    with _filled(tasks, keys) as (client, size):
        worker = Worker(client)
        worker.exchange(plain=not keys)
        client.config_resetstat()
        settled = sum(worker.exchange(plain=not keys) for _ in range(EXCHANGES))
        spent = client.info("commandstats")["cmdstat_evalsha"]["usec"]
    return {"tasks settled": settled, "us per task": spent / settled, "bytes per task": size}


def main(quick: bool) -> int:
    """Prints a table."""
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    tasks = QUICK_TASKS if quick else TASKS
    shapes = {f"limit, {keys} keys": keys for keys in (QUICK_KEYS if quick else KEYS)}
    rows = {name: measure(tasks, keys) for name, keys in {"no limit": 0, **shapes}.items()}
    names = list(next(iter(rows.values())))
    print(f"\n| {tasks} waiting tasks | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{row[each]:.6g}' for each in names)} |")
    few, many = (rows[name]["us per task"] for name in shapes)
    print(f"\nmany keys cost {many / few:.3f} times as much as few")
    return 0
