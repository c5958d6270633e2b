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
        ("app.schedule('nightly', work.call(1), '0 3 * * *')", "added", 0),
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


def test_middleware_around_a_call_stays_in_its_greenlet(redis_url: str, redis: Redis) -> None:
    middleware = """
from fluxqueue import Middleware
class Own(Middleware):
    def enqueue(self, call):
        begun = gevent.getcurrent()
        sent = yield
        print(begun is gevent.getcurrent() is going, sent.is_new)
app = FluxQueue(sys.argv[1], timeout=30, middleware=[Own()])
"""
    program = PROGRAM.replace("app = FluxQueue(sys.argv[1], timeout=30)\n", middleware)
    for call in ("work(1)", "work.enqueue_many([(1,)])"):
        done = subprocess.run(
            [sys.executable, "-c", program.replace("{call}", call), redis_url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.startswith("True True\n"), done.stderr
    assert redis.llen(key("pending", "default")) == 2


def test_an_object_that_was_made_before_gevent_patched_follows(redis_url: str) -> None:
    late = PROGRAM.replace("monkey.patch_all()\n", "").replace(
        "import gevent, redis", "import redis"
    )
    late = late.replace("server = redis", "import gevent\nmonkey.patch_all()\nserver = redis", 1)
    late = late.replace("{call}", "work.enqueue(1).queue")
    assert late.index("FluxQueue(sys") < late.index("monkey.patch_all()")
    done = run(late, redis_url)
    assert done.stdout == "default\n", done.stderr


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


# The pool has ten threads, each with a connection. The test has one too.
MANY = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent, redis
from fluxqueue import FluxQueue
from fluxqueue_core import key

app = FluxQueue(sys.argv[1], timeout=30)
server = redis.Redis.from_url(sys.argv[1])
turns = 0

@app.task()
def work(number): ...

def turn():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.001)

turning = gevent.spawn(turn)
going = [gevent.spawn(work.enqueue, number) for number in range(2000)]
gevent.joinall(going, raise_error=True)
turning.kill()
database = sys.argv[1].rpartition("/")[2]
ours = [client for client in server.client_list() if client["db"] == database]
print(len({one.value.id for one in going}), server.llen(key("pending", "default")))
print(2 <= len(ours) <= 11, turns > 10)
"""


def test_thousands_of_greenlets_enqueue_over_few_connections(redis_url: str) -> None:
    done = run(MANY, redis_url)
    assert done.stdout.splitlines() == ["2000 2000", "True True"], done.stderr


EMBEDDED = """
from gevent import monkey
monkey.patch_all(thread={thread})
import sys
import gevent
from fluxqueue import ConfigurationError, FluxQueue
from fluxqueue_worker.embedded_worker import EmbeddedWorker

app = FluxQueue(sys.argv[1], timeout=30)

@app.task(result_ttl=60)
def double(number):
    gevent.sleep(0.001)
    return 2 * number

try:
    with EmbeddedWorker(app):
        going = [gevent.spawn(lambda n: double.enqueue(n).result(30), n) for n in range(50)]
        gevent.joinall(going, raise_error=True)
        print(sum(one.value for one in going))
except ConfigurationError as error:
    print(error)
"""


def test_a_worker_in_a_patched_process_refuses_to_start(redis_url: str) -> None:
    done = run(EMBEDDED.replace("{thread}", "True"), redis_url)
    assert "gevent has replaced the threads of this process" in done.stdout, done.stderr
    assert "patch_all(thread=False)" in done.stdout and "fluxqueue start" in done.stdout


def test_a_worker_runs_in_a_process_that_keeps_its_threads(redis_url: str) -> None:
    done = run(EMBEDDED.replace("{thread}", "False"), redis_url)
    assert done.stdout == "2450\n", done.stderr


def run(program: str, redis_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, redis_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
