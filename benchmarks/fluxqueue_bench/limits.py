"""`scripts/bench limits`: what a claim costs while a million tasks wait for the places of their
limits, and how much memory a waiting task takes.

One consumer settles tasks and claims the next ones, ten at a time, as a worker does. The time is
that of the script in Redis, so the Python of the measure does not count. The servers take turns, so
that a busy machine slows all of them down.

A control tells how much of the difference between few keys and many is not a matter of limits:
plain commands on the same lists and sets, a pair of them for each task. With many keys they are not
in the caches of the processor.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import Producer, Route, Settings, key, message_field, script, script_keys
from redis import Redis

from . import machine

QUEUE = "limits"
TASKS, QUICK_TASKS = 1_000_000, 100_000
# Few keys, and many.
KEYS, QUICK_KEYS = (100, 10_000), (100, 1_000)
# Rounds that are measured, exchanges in each, and tasks that an exchange settles and claims.
ROUNDS, EXCHANGES, AT_ONCE = 100, 40, 10
LEASE = 3_600_000
# The control: the next message of the line goes to its end, and the places are counted.
CONTROL = """
for i = 1, #KEYS, 2 do
  redis.call('LMOVE', KEYS[i], KEYS[i], 'RIGHT', 'LEFT')
  redis.call('ZCARD', KEYS[i + 1])
end
"""


def _digest(number: int) -> str:
    return f"{1:016x}{number:016x}"


def _fill(url: str, tasks: int, keys: int) -> None:
    """Enqueues tasks, by turns for each of the keys; without a limit if there is no key."""
    producer = Producer(Settings(url))
    route = Route(QUEUE, "work", limit=(1, 0, 1) if keys else None)

    def resolve(number: int) -> Any:
        limit = (_digest(number % keys), f"work [{number % keys}]") if keys else None
        return route, (number,), {}, None, None, None, limit

    if keys:  # as workers do when they start
        producer.limit_rules(QUEUE, [b"declare", b"0", _digest(0)[:16].encode(), b"1:0:1 work"])
    producer.enqueue_many(route, range(tasks), print, resolve=resolve)
    producer.close()


class Worker:
    """A consumer that runs nothing, and counts what its exchanges take.

    Attributes:
        settled: how many tasks it has settled.
    """

    def __init__(self, client: Any, keys: int) -> None:
        self._client = client
        self._keys = keys
        self._exchange = client.register_script(script("exchange"))
        self._control = client.register_script(CONTROL)
        open_ = client.register_script(script("open"))
        open_(keys=script_keys("open", QUEUE, "c"), args=["c", LEASE, "", 0])
        self._held: list[bytes] = []
        self._looked = 0
        self.settled = 0

    def exchange(self) -> None:
        """Settles what it holds, and claims."""
        fields = [message_field(raw) for raw in self._held]
        self.settled += len(fields)
        outcomes = [part for field in fields for part in (field, "done", "", "")]
        args = [0, *outcomes] if self._keys else [len(fields), *fields]
        reply = self._exchange(
            keys=script_keys("exchange", QUEUE, "c"),
            args=["c", LEASE, AT_ONCE, "pending", "1", 0, *args],
        )
        self._held = reply[2]

    def control(self) -> None:
        """Calls the control for as many keys as an exchange has tasks."""
        numbers = [(self._looked + more) % self._keys for more in range(AT_ONCE)]
        self._looked += AT_ONCE
        kinds = ("limit:line", "limit:places")
        self._control(keys=[key(kind, QUEUE, _digest(n)) for n in numbers for kind in kinds])

    def time(self, call: Callable[[], None]) -> float:
        """Microseconds of Redis for each task, in one round."""
        self._client.config_resetstat()
        for _ in range(EXCHANGES):
            call()
        spent: int = self._client.info("commandstats")["cmdstat_evalsha"]["usec"]
        return spent / (EXCHANGES * AT_ONCE)


@contextlib.contextmanager
def _filled(tasks: int, keys: int) -> Iterator[tuple[Worker, float]]:
    """A server with waiting tasks, and how many bytes each of them takes."""
    with EmbeddedRedis(appendfsync="no") as server, Redis.from_url(server.url) as client:
        # After a fork the first write to each page copies it.
        client.config_set("auto-aof-rewrite-percentage", 0)
        before = client.info("memory")["used_memory"]
        _fill(server.url, tasks, keys)
        # As a scheduler does: it looks at the keys of a rule that has changed.
        promote = client.register_script(script("promote"))
        while client.exists(key("limits", QUEUE)):
            promote(keys=script_keys("promote", QUEUE), args=[1])
        size = (client.info("memory")["used_memory"] - before) / tasks
        worker = Worker(client, keys)
        worker.exchange()
        yield worker, size


def main(quick: bool) -> int:
    """Prints a table."""
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    tasks = QUICK_TASKS if quick else TASKS
    few, many = QUICK_KEYS if quick else KEYS
    names = {0: "no limit", few: f"limit, {few} keys", many: f"limit, {many} keys"}
    with contextlib.ExitStack() as stack:
        filled = {keys: stack.enter_context(_filled(tasks, keys)) for keys in names}
        rounds = [
            {keys: worker.time(worker.exchange) for keys, (worker, _) in filled.items()}
            for _ in range(ROUNDS // 4 if quick else ROUNDS)
        ]
        settled = {keys: worker.settled for keys, (worker, _) in filled.items()}
        controls = [
            {keys: filled[keys][0].time(filled[keys][0].control) for keys in (few, many)}
            for _ in range(ROUNDS // 4)
        ]
    spent = {keys: statistics.median(each[keys] for each in rounds) for keys in names}
    print(f"\n| {tasks} waiting tasks | tasks settled | us per task | bytes per task |")
    print("|---|---|---|---|")
    for keys, name in names.items():
        print(f"| {name} | {settled[keys]} | {spent[keys]:.4g} | {filled[keys][1]:.4g} |")
    print(f"\nmany keys cost {spent[many] / spent[few]:.3f} times as much as few")
    plain = [statistics.median(each[keys] for each in controls) for keys in (few, many)]
    print(
        f"of the {spent[many] - spent[few]:.3g} us between them, two plain commands on the same "
        f"keys explain {plain[1] - plain[0]:.3g} us ({plain[0]:.3g} and {plain[1]:.3g} us)"
    )
    return 0
