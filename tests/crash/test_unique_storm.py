"""Unique and debounced tasks in a storm of calls, cancels, replacements and requeues, while workers
are killed and Redis is restarted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from fluxqueue import BrokerError, FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.requeue import replay
from fluxqueue_core import Settings, key
from redis import Redis
from support.scheduler_process import SchedulerProcess
from support.system import System
from support.waiting import Deadline, wait_until
from support.worker_process import WorkerProcess, read_notes

KEYS = 4
# The lock of a file ends with its process. A task that finds it taken runs beside another one.
APP = """
import fcntl, random
from fluxqueue import Reject, Snooze

@fluxqueue.task(max_retries=2, retry_delay=0.02, max_snoozes=50)
def work(number, call):
    with open(f"{os.environ['NOTES']}.{number}", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"overlap {number}")
            return
        time.sleep(0.003)
        chance = random.random()
        # Dead at once: a call of a fast client may cancel a task before its last retry.
        if chance < 0.1:
            raise Reject(number)
        if chance < 0.3:
            raise ValueError(number)
        if chance < 0.5:
            raise Snooze(delay=0.02)
        note(f"ended {number}")
"""
# It calls until it is killed.
CLIENT = f"""
import random, sys
from fluxqueue import FluxQueue

work = FluxQueue(sys.argv[1]).declare("work", unique=("number",), max_retries=2,
                                      signature=lambda number, call: None)
recent, call = [], 0
while True:
    call += 1
    number = random.randrange({KEYS})
    way = random.random()
    if way < 0.4:
        recent.append(work.enqueue(number, call))
    elif way < 0.7:
        recent.append(work.options(delay=0.03, on_conflict="replace").enqueue(number, call))
    elif way < 0.8:
        work.enqueue_many([(each, call) for each in range({KEYS})])
    elif recent:
        random.choice(recent[-8:]).cancel()
"""


def test_a_storm_leaves_no_lock_and_no_second_task(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    control = RedisClient(Settings(redis_url), 5.0)
    with System(tmp_path, redis_url, APP, lease=1) as system:
        system.start_scheduler()
        requeued = 0
        for _ in range(3):
            clients = [subprocess.Popen([sys.executable, "-c", CLIENT, redis_url]) for _ in "ab"]
            workers = [system.start_worker(concurrency=3) for _ in "ab"]
            before, more = len(read_notes(tmp_path)), chance.randrange(40, 80)
            deadline = Deadline(60)
            while len(read_notes(tmp_path)) < before + more:
                assert not deadline.over()
                done = list(replay(lambda: control, "default", rate=200))
                requeued += sum(one.verdict == "requeued" for one in done)
            for process in clients:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            for worker in workers:
                worker.kill()
        system.start_worker(concurrency=3)
        system.wait_until_settled()
        assert [note for note in read_notes(tmp_path) if note.startswith("overlap")] == []
        assert requeued > 0
        assert system.redis.keys(key("unique", "default", "*")) == []
    control.close()


def test_a_debounced_task_begins_in_time_while_redis_restarts(tmp_path: Path) -> None:
    app = """
@fluxqueue.task()
def index(doc, version):
    note(f"{version}")
"""
    with EmbeddedRedis(tmp_path / "redis", appendfsync="always") as server:
        calls = FluxQueue(server.url)

        def signature(doc: int, version: int) -> None: ...

        index = calls.declare(
            "index", signature=signature, unique=("doc",), debounce=1, max_wait=1.5
        )
        acknowledged = 0
        with (
            SchedulerProcess(tmp_path, server.url) as scheduler,
            WorkerProcess(tmp_path, server.url, app) as worker,
        ):
            deadline = Deadline(60)
            version = seen = since = 0
            # The calls keep coming, so only `max_wait` lets it begin.
            while (begun := len(worker.notes())) < 3:
                assert not deadline.over(), scheduler.output()
                version += 1
                since = 1 if begun > seen else since + 1
                seen = begun
                try:
                    index.enqueue(1, version)
                    acknowledged = version
                except BrokerError:
                    continue
                if since == 20:
                    server.kill()
                    server.start()
            wait_until(lambda: int(worker.notes()[-1]) >= acknowledged, what=scheduler.output)
            redis = Redis.from_url(server.url)
            wait_until(lambda: not redis.keys(key("unique", "default", "*")))
        versions = [int(note) for note in worker.notes()]
        assert versions == sorted(versions) and versions[-1] <= version
        calls.close()
