"""Operators replay, delete and purge tasks while they and the workers are killed: each task is
requeued once, and no lock is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.scripts import Scripts
from support.system import System
from support.waiting import wait_until
from support.worker_process import read_notes

TASKS = 600
# At first each task dies; once the file `mended` is there, it ends.
APP = """
from pathlib import Path

@fluxqueue.task(max_retries=0)
def work(number):
    if not Path("mended").exists():
        raise ValueError(number)
    note(str(number))
"""
REPLAY = [sys.executable, "-m", "fluxqueue", "dead", "replay", "--all", "--json", "-r"]


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_replay_that_is_killed_goes_on_and_doubles_nothing(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    with System(tmp_path, redis_url, APP, lease=1) as system:
        scripts = Scripts(system.redis, "default")
        work = FluxQueue(redis_url).declare("work", unique=True, result_ttl=600, max_retries=0)
        handles = work.enqueue_each([(number,) for number in range(TASKS)])
        system.start_scheduler()
        worker = system.start_worker(concurrency=10)
        wait_until(
            lambda: system.redis.zcard(scripts.key("dead")) == TASKS, 120, what=worker.output
        )
        (tmp_path / "mended").touch()
        for _ in range(4):
            # Two at once, killed in the middle; and a worker that has some of the tasks.
            words = [*REPLAY, redis_url, "--rate", "400"]
            both = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(2)]
            before = scripts.stats().get("requeued", 0)
            more = chance.randrange(20, 80)
            wait_until(lambda: scripts.stats().get("requeued", 0) >= before + more, 60)  # noqa: B023
            for process in both:
                kill(process)
            worker.kill()
            worker = system.start_worker(concurrency=10)
        done = subprocess.run([*REPLAY, redis_url], capture_output=True, text=True, check=False)
        assert done.stderr == "" and done.returncode == 0
        system.wait_until_settled()
        assert scripts.stats()["requeued"] == TASKS
        assert scripts.stats()["succeeded"] == TASKS
        # Only a worker that was killed makes a task run twice.
        assert {int(note) for note in read_notes(tmp_path)} == set(range(TASKS))
        assert {handle.status() for handle in handles} == {"succeeded"}
        assert system.redis.keys(key("unique", "default", "*")) == []


def test_a_purge_that_is_killed_goes_on_and_tells_each_caller(
    tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, APP) as system:
        scripts = Scripts(system.redis, "default")
        work = FluxQueue(redis_url).declare("work", unique=True, result_ttl=600)
        handles = work.enqueue_each([(number,) for number in range(3_000)])
        words = [sys.executable, "-m", "fluxqueue", "purge", "default", "waiting", "-r", redis_url]
        for _ in range(3):
            before = scripts.stats().get("cancelled", 0)
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            wait_until(
                lambda: scripts.stats().get("cancelled", 0) > before or process.poll() == 0,  # noqa: B023
                60,
            )
            kill(process)
        subprocess.run(words, check=True, capture_output=True)
        assert scripts.stats() == {"cancelled": 3_000}
        assert {handle.status() for handle in handles} == {"cancelled"}
        assert system.redis.keys(key("unique", "default", "*")) == []
        assert scripts.list("pending") == []
