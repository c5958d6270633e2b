"""A client: calls and cancels random tasks until SIGTERM, and records the result of each call.

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
from dataclasses import replace
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue.errors import BrokerError, EnqueueUncertain

from .application import KINDS, Choice, Kind, choose
from .ledger import REFUSED, RETURNED, UNCERTAIN, Ledger
from .options import name_of

PAUSE = 0.12
# Percentage of turns in which the client sends a batch of one task.
BATCHES = 3
LARGEST_BATCH = 12
# Most calls that an asynchronous client makes at once.
MOST_GATHERED = 3


class Client:
    """The tasks under their names, and the ledger."""

    def __init__(self, ledger: Ledger, first: int, seed: int) -> None:
        self.ledger = ledger
        self.chance = random.Random(seed)
        self._numbers = itertools.count(first)
        self._queue = FluxQueue(None)
        self._sync = {kind.name: _declare(kind, _work) for kind in KINDS}
        self._async = {kind.name: _declare(kind, _work_async) for kind in KINDS}
        # The tasks to cancel in a later turn.
        self._to_cancel: list[int] = []

    def call(self) -> None:
        """One task, or a batch, or a cancel."""
        if self._to_cancel:
            self._cancel(self._to_cancel.pop())
        choice = choose(self.chance)
        if self.chance.randrange(100) < BATCHES:
            self._batch(choice, self.chance.randint(2, LARGEST_BATCH))
            return
        number = self._begin(choice)
        task = self._with_options(self._sync, choice, number)
        if choice.options.key:
            self._note(lambda: [task.enqueue(*choice.arguments(number))], number, 1)
        else:
            self._note(lambda: task(*choice.arguments(number)), number, 1)

    def _begin(self, choice: Choice, count: int = 1) -> int:
        """Notes the calls in the ledger; returns the first of their numbers."""
        numbers = [next(self._numbers) for _ in range(count)]
        self.ledger.called(numbers[0], count, choice.kind.expected, choice.options)
        if choice.cancels and count == 1:
            self._to_cancel.append(numbers[0])
        return numbers[0]

    def _with_options(self, tasks: dict[str, Any], choice: Choice, number: int | None) -> Any:
        """The task with the options of the call, and with an id if its result is kept."""
        task, named = tasks[choice.kind.name], choice.options.named()
        if number is not None and choice.options.has_name:
            named["task_id"] = name_of(number)
        return task.options(**named) if named else task

    def _batch(self, choice: Choice, count: int) -> None:
        first = self._begin(choice, count)
        choice = replace(choice, seconds=min(choice.seconds, 0.1))
        task = self._with_options(self._sync, choice, None)
        calls: list[Any] = [choice.arguments(number) for number in range(first, first + count)]
        if choice.options.has_name:
            calls = [task.options(task_id=name_of(of[0])).call(*of) for of in calls]
        enqueue = task.enqueue_each if choice.options.key else task.enqueue_many
        self._note(lambda: enqueue(calls), first, count)

    def _note(self, call: Callable[[], Any], first: int, count: int) -> None:
        """Makes the calls. Of unique tasks it returns their handles."""
        try:
            handles = call()
        except EnqueueUncertain:
            self.ledger.answered(UNCERTAIN, first, count)
        except BrokerError:
            self.ledger.answered(REFUSED, first, count)
        else:
            if isinstance(handles, list):
                for number, handle in enumerate(handles, first):
                    self._note_verdict(number, handle)
            else:
                self.ledger.answered(RETURNED, first, count)

    def _note_verdict(self, number: int, handle: Any) -> None:
        if handle.created:
            self.ledger.answered(RETURNED, number)
        else:
            self.ledger.present(number, handle.id)

    def _cancel(self, number: int) -> None:
        self.ledger.cancelling(number)
        try:
            answer = self._queue.handle(name_of(number)).cancel()
        except BrokerError:
            return  # it may be cancelled
        self.ledger.cancelled(number, answer)

    async def call_async(self) -> None:
        """A few tasks at once, and perhaps a cancel."""
        if self._to_cancel:
            await asyncio.to_thread(self._cancel, self._to_cancel.pop())
        count = self.chance.randint(1, MOST_GATHERED)
        await asyncio.gather(*(self._one_async() for _ in range(count)))

    async def _one_async(self) -> None:
        choice = choose(self.chance)
        number = self._begin(choice)
        task = self._with_options(self._async, choice, number)
        try:
            handle = await task.enqueue_async(*choice.arguments(number))
        except EnqueueUncertain:
            self.ledger.answered(UNCERTAIN, number)
        except BrokerError:
            self.ledger.answered(REFUSED, number)
        else:
            self._note_verdict(number, handle)


def _declare(kind: Kind, function: Callable[..., Any]) -> Any:
    return FluxQueue(None).task(name=kind.name, **kind.declared())(function)


def _work(number: int, seconds: float, key: int = 0) -> None: ...


async def _work_async(number: int, seconds: float, key: int = 0) -> None: ...


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
