"""A web process of greenlets (gunicorn -k gevent): calls that wait for Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fluxqueue_core import key
from redis import Redis

# Redis answers no write until the second greenlet has run.
PROGRAM = """
from gevent import monkey
monkey.patch_all()
import contextvars, sys
import gevent, redis
from fluxqueue import FluxQueue, FluxQueueWarning

app = FluxQueue(sys.argv[1], timeout=30)
server = redis.Redis.from_url(sys.argv[1])

@app.task()
def work(number): ...

server.client_pause(60_000, all=False)
going = gevent.spawn(lambda: {call})
gevent.spawn(server.client_unpause).join()
print(going.get())
"""


@pytest.mark.parametrize(
    ("call", "returns", "sent"),
    [
        ("work(1)", "None", 1),
        ("len(work.enqueue(1).id)", "36", 1),
        ("work.enqueue_many((number,) for number in range(3))", "3", 3),
        ("app.handle('an id').cancel()", "already_done", 0),
    ],
)
def test_other_greenlets_run_while_a_call_waits(
    redis_url: str, redis: Redis, call: str, returns: str, sent: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{call}", call), redis_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == f"{returns}\n", done.stderr
    assert redis.llen(key("pending", "default")) == sent


# More greenlets than gevent's pool has threads: the last ones, and the calls after them, must not
# wait for the first ones.
WAITS = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent, redis
from fluxqueue import FluxQueue, ResultTimeout, gather_results_sync
from support.outcomes import store
from support.waiting import wait_until

app = FluxQueue(sys.argv[1], timeout=30)
server = redis.Redis.from_url(sys.argv[1])

@app.task(result_ttl=60)
def work(number): ...

handles = [app.handle(f"task {number}") for number in range(100)]
waits = [gevent.spawn(handle.result, 60) for handle in handles]
waits += [gevent.spawn(gather_results_sync, handles, 60)]
wait_until(lambda: len(server.pubsub_channels("*")) == 100)
print(work.enqueue(1).status(), work.enqueue(2).cancel())
gevent.spawn(handles[0].result, 60).kill()
for number, handle in enumerate(handles):
    store(server, handle.id, str(number))
numbers = list(range(100))
print([wait.get() for wait in waits] == [*numbers, numbers])
wait_until(lambda: not server.pubsub_channels("*"))
try:
    work.enqueue(3).result(0.05)
except ResultTimeout:
    print("late")
"""


def test_any_number_of_greenlets_wait_for_results(redis_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITS, redis_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.stdout.splitlines() == ["unfinished cancelled", "True", "late"], done.stderr


def test_a_call_from_a_greenlet_raises_its_errors() -> None:
    program = PROGRAM.split("server.client_pause")[0] + (
        "try:\n    work.enqueue_many([(1,), (object(),)])\n"
        "except TypeError as error:\n    print(error.enqueued, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "redis://127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("0 ") and "argument number" in done.stdout, done.stdout
    assert done.stderr == ""
