"""A client: calls random tasks until SIGTERM, and records the result of each call.

python -m chaos.client_process --ledger FILE --first 1000000 --seed 7 [--asynchronous]
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import itertools
import random
import signal
import threading
from collections.abc import Callable
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue.errors import BrokerError, EnqueueUncertain

from .application import KINDS, Kind, choose
from .ledger import REFUSED, RETURNED, UNCERTAIN, Ledger

PAUSE = 0.12
# Percentage of turns in which the client sends a batch of one task.
BATCHES = 3
LARGEST_BATCH = 12
# One of these is the priority of a call. Tasks of priority 0 must end too.
PRIORITIES = (0, 0, 0, 1, 5, 9)
# Most calls that an asynchronous client makes at once.
MOST_GATHERED = 3


class Client:
    """The tasks under their names, and the ledger."""

    def __init__(self, ledger: Ledger, first: int, seed: int) -> None:
        self.ledger = ledger
        self.chance = random.Random(seed)
        self._numbers = itertools.count(first)
        self._sync = {kind.name: _declare(kind, _work) for kind in KINDS}
        self._async = {kind.name: _declare(kind, _work_async) for kind in KINDS}

    def call(self) -> None:
        """One task, or a batch."""
        kind, seconds = choose(self.chance)
        if self.chance.randrange(100) < BATCHES:
            count = self.chance.randint(2, LARGEST_BATCH)
            self._batch(kind, min(seconds, 0.1), count)
            return
        number = next(self._numbers)
        self.ledger.called(number, 1, kind.expected)
        task = self._ranked(self._sync[kind.name])
        self._note(lambda: task(number, seconds), number, 1)

    def _batch(self, kind: Kind, seconds: float, count: int) -> None:
        numbers = [next(self._numbers) for _ in range(count)]
        self.ledger.called(numbers[0], count, kind.expected)
        calls = [(number, seconds) for number in numbers]
        task = self._ranked(self._sync[kind.name])
        self._note(lambda: task.enqueue_many(calls), numbers[0], count)

    def _note(self, call: Callable[[], object], first: int, count: int) -> None:
        try:
            call()
        except EnqueueUncertain:
            self.ledger.answered(UNCERTAIN, first, count)
        except BrokerError:
            self.ledger.answered(REFUSED, first, count)
        else:
            self.ledger.answered(RETURNED, first, count)

    def _ranked(self, task: Any) -> Any:
        """The task with a random priority."""
        priority = self.chance.choice(PRIORITIES)
        return task.options(priority=priority) if priority else task

    async def call_async(self) -> None:
        """A few tasks at once."""
        count = self.chance.randint(1, MOST_GATHERED)
        await asyncio.gather(*(self._one_async() for _ in range(count)))

    async def _one_async(self) -> None:
        kind, seconds = choose(self.chance)
        number = next(self._numbers)
        self.ledger.called(number, 1, kind.expected)
        try:
            await self._ranked(self._async[kind.name]).enqueue_async(number, seconds)
        except EnqueueUncertain:
            self.ledger.answered(UNCERTAIN, number)
        except BrokerError:
            self.ledger.answered(REFUSED, number)
        else:
            self.ledger.answered(RETURNED, number)


def _declare(kind: Kind, function: Callable[..., Any]) -> Any:
    return FluxQueue(None).task(name=kind.name, max_retries=kind.max_retries)(function)


def _work(number: int, seconds: float) -> None: ...


async def _work_async(number: int, seconds: float) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(inspect.getmodule(main)))
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--asynchronous", action="store_true")
    options = parser.parse_args()
    client = Client(Ledger(options.ledger), options.first, options.seed)
    if options.asynchronous:
        asyncio.run(_call_async(client))
    else:
        _call_sync(client)


def _call_sync(client: Client) -> None:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    while not ended.wait(client.chance.uniform(0, 2 * PAUSE)):
        client.call()


async def _call_async(client: Client) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    while not ended.is_set():
        await client.call_async()
        await asyncio.sleep(client.chance.uniform(0, 4 * PAUSE))


if __name__ == "__main__":
    main()
