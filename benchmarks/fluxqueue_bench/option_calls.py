"""Calls with options in turns with plain calls, in a separate process:
`python -m fluxqueue_bench.option_calls ROUNDS CALLS NAME...`.

Prints, as JSON, the seconds of ROUNDS times CALLS calls by name. Each name of `SYNC` or `ASYNC`
is called in each round, so a change in the machine's speed affects all alike.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

from .async_tasks import async_noop
from .tasks import PAYLOAD, noop

_delayed = noop.options(delay=60)
_delayed_async = async_noop.options(delay=60)
_ranked = noop.options(priority=5)
_kept = noop.options(result_ttl=60)

# The first is the plain call.
SYNC: dict[str, Callable[[int], object]] = {
    "plain": lambda number: noop(number, *PAYLOAD),
    "enqueue": lambda number: noop.enqueue(number, *PAYLOAD),
    "delay": lambda number: _delayed.enqueue(number, *PAYLOAD),
    "delay, a view per call": lambda n: noop.options(delay=60).enqueue(n, *PAYLOAD),
    "priority": lambda number: _ranked.enqueue(number, *PAYLOAD),
    "result_ttl": lambda number: _kept.enqueue(number, *PAYLOAD),
    "result_ttl, a view per call": lambda n: noop.options(result_ttl=60).enqueue(n, *PAYLOAD),
    "task_id, a view per call": lambda n: noop.options(task_id=f"n-{n}").enqueue(n, *PAYLOAD),
}
ASYNC: dict[str, Callable[[int], Awaitable[object]]] = {
    "plain": lambda number: async_noop(number, *PAYLOAD),
    "enqueue_async": lambda number: async_noop.enqueue_async(number, *PAYLOAD),
    "delay": lambda number: _delayed_async.enqueue_async(number, *PAYLOAD),
}


def in_turns(rounds: int, calls: int, names: list[str]) -> dict[str, float]:
    seconds = dict.fromkeys(names, 0.0)
    for begin in range(0, rounds * calls, calls):
        for name in names:
            call = SYNC[name]
            began = time.perf_counter()
            for number in range(begin, begin + calls):
                call(number)
            seconds[name] += time.perf_counter() - began
    return seconds


async def in_turns_async(rounds: int, calls: int) -> dict[str, float]:
    seconds = dict.fromkeys(ASYNC, 0.0)
    for begin in range(0, rounds * calls, calls):
        for name, call in ASYNC.items():
            began = time.perf_counter()
            for number in range(begin, begin + calls):
                await call(number)
            seconds[name] += time.perf_counter() - began
    return seconds


if __name__ == "__main__":
    rounds, calls, names = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if names == ["async"]:
        asyncio.run(in_turns_async(1, 100))
        found = asyncio.run(in_turns_async(rounds, calls))
    else:
        in_turns(1, 100, names)
        found = in_turns(rounds, calls, names)
    print(json.dumps(found))
