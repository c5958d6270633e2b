"""One process waits for many results while its connections are killed: none is lost, none comes
twice, and nothing is left in Redis.

Its connections go through a proxy. CLIENT KILL ends them, or the proxy does, in each of its ways.
All waits begin before the first task is enqueued.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluxqueue import FluxQueue, TaskHandle, gather_results_sync
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue.waiting import listener
from fluxqueue_core import key
from redis import Redis
from support.proxy import WAYS, Proxy
from support.waiting import wait_until
from support.worker_process import WorkerProcess

QUEUE = "default"
# The longest time from one kill to the next, in seconds.
PAUSE = 0.1
# Seconds that the results may take once all tasks are enqueued.
PATIENCE = 300.0

APP = """
@fluxqueue.task(result_ttl=float(os.environ["RESULT_TTL"]))
def echo(number):
    return number
"""


class Waits:
    """Waits for all results: for half of them in a thread, for the others on a loop.

    Attributes:
        arrived: how often each result of the loop has arrived.
    """

    def __init__(self, handles: list[TaskHandle[int]], timeout: float) -> None:
        self.arrived: Counter[int] = Counter()
        self._handles, self._timeout = handles, timeout
        self._half = len(handles) // 2
        self._of_thread: list[Any] = []
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._in_thread, self._loop)
        ]
        for thread in self._threads:
            thread.start()

    def _in_thread(self) -> None:
        some = self._handles[: self._half]
        self._of_thread = gather_results_sync(some, self._timeout, return_exceptions=True)

    def _loop(self) -> None:
        asyncio.run(self._on_loop())

    async def _on_loop(self) -> None:
        some = self._handles[self._half :]
        await asyncio.gather(*(self._one(handle) for handle in some), return_exceptions=True)

    async def _one(self, handle: TaskHandle[int]) -> None:
        self.arrived[await handle.result_async(self._timeout)] += 1

    def wrong(self) -> list[str]:
        """Waits for the end of all; returns what is wrong with the results."""
        for thread in self._threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                return ["the waits have not ended"]
        count = len(self._handles)
        lost = [n for n in range(self._half, count) if not self.arrived[n]]
        twice = [n for n, times in self.arrived.items() if times > 1]
        wrong = [
            (n, one) for n, one in enumerate(self._of_thread) if one != n or type(one) is not int
        ]
        texts: list[tuple[str, list[Any]]] = [
            ("lost", lost),
            ("told twice", twice),
            ("wrong", wrong),
        ]
        return [f"{name} ({len(found)}): {found[:5]}" for name, found in texts if found]


def perform(
    folder: Path, results: int, kills: int, ttl: float, chance: random.Random, *, to_the_end: bool
) -> list[str]:
    """Waits for that many results through that many killed connections. Returns what is wrong.

    Args:
        ttl: seconds for which results are kept. More than one look at all of them takes.
        to_the_end: also waits until they have expired.
    """
    options = {"client-output-buffer-limit": "pubsub 256mb 128mb 60"}
    with (
        EmbeddedRedis(folder / "redis", appendfsync="no", options=options) as server,
        Proxy(server.port) as proxy,
        Redis(port=server.port) as redis,
        WorkerProcess(
            folder, server.url, APP, variables={"RESULT_TTL": str(ttl)}, log_level="error"
        ) as worker,
    ):
        client, producer = FluxQueue(proxy.url, timeout=5), FluxQueue(server.url)

        @producer.task(result_ttl=ttl)
        def echo(number: int) -> int:
            raise NotImplementedError

        # A wait lasts for as long as the kills do, and not forever.
        waits = Waits(
            [client.handle(f"task {number}") for number in range(results)], kills + PATIENCE
        )
        wait_until(lambda: listener(client.settings).waits == results, timeout=120)
        sent = 0
        for number in range(1, kills + 1):
            wait_until(lambda: _kill(redis, proxy, chance), what="a connection to kill")
            upto = results * number // kills
            echo.enqueue_many(echo.options(task_id=f"task {n}").call(n) for n in range(sent, upto))
            sent = upto
            time.sleep(PAUSE * chance.random())
        wrong = waits.wrong()
        wrong += _left(redis, listener(client.settings).waits, ttl)
        client.close()
        producer.close()
        if (code := worker.stop()) != 0:
            wrong.append(f"the worker ended with {code}: {worker.output()}")
        succeeded = int(redis.hget(key("stats", QUEUE), "succeeded") or 0)
        if succeeded != results:
            wrong.append(f"{succeeded} of {results} tasks have succeeded")
        # The listener's connection ends ten seconds after the last wait.
        wrong += _never(lambda: len(redis.client_list()) == 1, "connections are left")
        return wrong + (_expire(redis, ttl) if to_the_end else [])


def _kill(redis: Any, proxy: Proxy, chance: random.Random) -> int:
    """Ends the connection of the waits, if there is one. Returns how many it has ended."""
    way = chance.choice(("CLIENT KILL", *WAYS))
    if way == "CLIENT KILL":
        return int(redis.client_kill_filter(_type="pubsub"))
    return proxy.cut_all(way)


def _left(redis: Any, waits: int, ttl: float) -> list[str]:
    """The things that waits and results have left, but for results that expire in time."""
    wrong = [f"{waits} waits are left"] if waits else []
    wrong += _never(lambda: not redis.pubsub_channels("*"), "subscriptions are left")
    names = list(redis.scan_iter(key("result", QUEUE, "*"), count=10_000))
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.pttl(name)
    # -2: it has expired meanwhile.
    forever = [left for left in pipeline.execute() if left > ttl * 1000 or left == -1]
    return wrong + ([f"{len(forever)} results do not expire in {ttl:g} s"] if forever else [])


def _expire(redis: Any, ttl: float) -> list[str]:
    """Waits until all results have expired. Returns what is wrong."""
    pattern = key("result", QUEUE, "*")
    gone: Callable[[], bool] = lambda: next(redis.scan_iter(pattern, count=10_000), None) is None  # noqa: E731
    return _never(gone, "results are left", ttl + 10)


def _never(condition: Callable[[], object], what: str, timeout: float = 30.0) -> list[str]:
    """Waits for a condition; returns what is wrong if it does not come."""
    try:
        wait_until(condition, timeout, interval=0.1)
    except AssertionError as error:
        return [f"{what}: {error}"]
    return []
