"""The load of a soak run: as many tasks as the workers get through, until SIGTERM.

python -m soak.load --most-waiting 20000

The last line of its log says how many it has enqueued (`soak.enqueued`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import threading

from fluxqueue import FluxQueue
from fluxqueue_core import Settings, key
from redis import Redis

fluxqueue = FluxQueue(None)
# Of each thousand calls, FLAKY fail at first and DOOMED always fail.
FLAKY, DOOMED = 20, 1
IN_A_CALL = 1_000
TEXT = "x" * 100


@fluxqueue.task()
def work(number: int, text: str) -> None: ...


@fluxqueue.task()
async def work_async(number: int, text: str) -> None: ...


# Their retry policy comes with the worker's own declarations.
@fluxqueue.task()
def flaky(number: int, text: str) -> None: ...


@fluxqueue.task(max_retries=1)
def doomed(number: int, text: str) -> None: ...


def some_of_each() -> int:
    """One batch of each kind, and a few one by one, as applications do both."""
    sent = work.enqueue_many([(0, TEXT)] * (IN_A_CALL - FLAKY - DOOMED))
    sent += flaky.enqueue_many([(0, TEXT)] * FLAKY)
    sent += doomed.enqueue_many([(0, TEXT)] * DOOMED)
    for _ in range(20):
        work(0, TEXT)
    return sent + 20


async def some_async() -> int:
    await asyncio.gather(*[work_async(0, TEXT) for _ in range(200)])
    return 200


async def run(most_waiting: int, ended: threading.Event) -> int:
    sent = 0
    with Redis.from_url(Settings().url) as redis:
        while not ended.is_set():
            if int(redis.llen(key("pending", "default"))) > most_waiting:
                await asyncio.sleep(0.01)
                continue
            sent += some_of_each() + await some_async()
    return sent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--most-waiting", type=int, required=True)
    options = parser.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    sent = asyncio.run(run(options.most_waiting, ended))
    print(json.dumps({"event": "soak.enqueued", "count": sent}), file=sys.stderr)


if __name__ == "__main__":
    main()
