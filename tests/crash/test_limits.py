"""Limited tasks while workers and the scheduler are killed, drained and cut off: never more at once
than the limit, never more than the rate, and nothing is left when all have ended."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fluxqueue_core import Producer, Route, Settings, key
from support.proxy import WAYS, Proxy, port_of
from support.system import System
from support.waiting import wait_until
from support.worker_process import read_notes

KEYS, AT_ONCE = 5, 2
PERIOD = 0.05
# The locks of a file end with their process. A task that finds all taken is one too many.
APP = f"""
import fcntl

def overlaps(name, most):
    for slot in range(most):
        file = open(f"{{os.environ['NOTES']}}.{{name}}.{{slot}}", "a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return file
    return None

@fluxqueue.task(max_retries=50, retry_delay=0.01)
def work(name, number):
    file = overlaps(name, {AT_ONCE})
    if file is None:
        note(f"overlap {{name}}")
        return
    with file:
        time.sleep(0.01)
        if int.from_bytes(os.urandom(1)) < 50:
            raise ValueError(number)
        note(f"ended {{name}} {{number}}")

@fluxqueue.task(max_retries=0)
def rated(name, number):
    note(f"began {{number}} {{time.time()}}")
"""


def digest(number: int) -> str:
    return f"{7:016x}{number:016x}"


def enqueue(redis_url: str, count: int) -> None:
    """Enqueues `count` tasks for each key, and as many with a rate."""
    producer = Producer(Settings(redis_url))
    work = Route("default", "work", limit=(AT_ONCE, 0, 1), max_retries=50)
    rated = Route("default", "rated", limit=(0, round(PERIOD * 1_000_000), 1))
    for number in range(count):
        for name in range(KEYS):
            limit = (digest(name), f"work [{name}]")
            producer.enqueue(work, (name, number), {}, limit=limit)
        producer.enqueue(rated, ("r", number), {}, limit=("8" * 32, "rated"))
    producer.close()


def check(folder: Path, system: System, count: int) -> None:
    """Checks what the tasks have noted, and what is left in Redis."""
    system.wait_until_settled()
    notes = read_notes(folder)
    assert [note for note in notes if note.startswith("overlap")] == []
    wanted = {f"ended {name} {number}" for name in range(KEYS) for number in range(count)}
    assert wanted <= set(notes)
    begins = sorted(float(note.split()[2]) for note in notes if note.startswith("began"))
    assert len(begins) >= count
    # A task begins up to a quarter of a second after it was handed out.
    for first, begin in enumerate(begins):
        for last in range(first, len(begins)):
            assert last - first + 1 <= 1 + (begins[last] - begin + 0.25) / PERIOD
    wait_until(lambda: system.redis.keys(key("limits", "default") + "*") == [])
    assert system.redis.keys(key("limit:line", "default", "*")) == []
    assert system.redis.keys(key("limit:places", "default", "*")) == []


def test_killed_and_drained_workers_keep_the_limits(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    with System(tmp_path, redis_url, APP, lease=1) as system:
        scheduler = system.start_scheduler()
        enqueue(redis_url, 60)
        for turn in range(4):
            workers = [system.start_worker(concurrency=4) for _ in "ab"]
            before, more = len(read_notes(tmp_path)), chance.randrange(10, 40)
            wait_until(lambda: len(read_notes(tmp_path)) > before + more, 60)  # noqa: B023
            workers[0].kill()
            if turn % 2:
                workers[1].kill()
                scheduler.kill()
                scheduler = system.start_scheduler()
            else:
                workers[1].wait_for("worker.connected")
                assert workers[1].stop() == 0
        system.start_worker(concurrency=4)
        check(tmp_path, system, 60)


@pytest.mark.parametrize("way", WAYS)
def test_connections_that_break_keep_the_limits(
    tmp_path: Path, redis_url: str, chance: random.Random, way: str
) -> None:
    port, database = port_of(redis_url)
    with (
        Proxy(port) as proxy,
        System(tmp_path, redis_url, APP, worker_url=f"{proxy.url}/{database}") as system,
    ):
        system.start_scheduler()
        enqueue(redis_url, 40)
        for _ in "ab":
            system.start_worker(concurrency=4)
        for _ in range(8):
            before, more = len(read_notes(tmp_path)), chance.randrange(5, 20)
            wait_until(lambda: len(read_notes(tmp_path)) > before + more, 60)  # noqa: B023
            proxy.cut_all(way)
        check(tmp_path, system, 40)
