"""A waiter: waits for every result that a client wants to have kept, until SIGTERM, and records
what it was told.

python -m chaos.waiter_process --ledger FILE
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import signal

from fluxqueue import BrokerError, FluxQueue, ResultError, ResultTimeout

from .ledger import PRESENT, REFUSED, Ledger
from .options import name_of

# Seconds between two looks for new calls.
PAUSE = 0.1
# Seconds that no wait takes.
PATIENCE = 3600.0


class Waiter:
    """All waits of this process. One that is started again begins with all calls, so that it
    hears again the results that another one has heard."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue = FluxQueue(None)
        self._waits: dict[int, asyncio.Task[None]] = {}

    def look(self) -> None:
        """Begins to wait for the tasks that are new. They may not be in Redis yet."""
        for number, call in self._ledger.history().calls.items():
            if not call.options.is_awaited or number in self._waits:
                continue
            if call.outcome in (REFUSED, PRESENT):
                continue
            # Every other one is watched too.
            self._waits[number] = asyncio.create_task(self._wait(number, number % 2 == 0))

    async def _wait(self, number: int, watches: bool) -> None:
        handle, state, value = self._queue.handle(name_of(number)), "succeeded", "-"
        try:
            if watches:
                async for progress in handle.watch():
                    self._ledger.saw(number, progress.note)
            value = await handle.result_async(PATIENCE)
        except ResultTimeout:
            state = "timeout"
        except ResultError as error:
            state = error.state or "unreadable"
        except BrokerError as error:
            print(f"a wait was refused: {error!r}", flush=True)
            state = "refused"
        self._ledger.told(number, state, value)
        if watches:
            with contextlib.suppress(BrokerError):
                if await handle.progress_async() is not None:
                    self._ledger.told(number, "progress", "after-the-end")

    async def end(self) -> None:
        """Gives up all waits."""
        for wait in self._waits.values():
            wait.cancel()
        for ended in await asyncio.gather(*self._waits.values(), return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def run(ledger: Ledger) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    waiter = Waiter(ledger)
    ledger.waits()
    while not ended.is_set():
        waiter.look()
        await asyncio.sleep(PAUSE)
    await waiter.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(inspect.getmodule(main)))
    parser.add_argument("--ledger", required=True)
    asyncio.run(run(Ledger(parser.parse_args().ledger)))


if __name__ == "__main__":
    main()
