"""`fluxqueue migrate` moves what the real package fluxqueue 0.3.2 has written."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from fluxqueue_core import key
from support.operator_commands import run
from support.peer_environment import peer_environment
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

PRODUCER = """
import sys
from fluxqueue import FluxQueue

fluxqueue = FluxQueue(redis_url=sys.argv[1])

@fluxqueue.task(queue="q", max_retries=5)
def add_note(number, text, *, fields):
    raise SystemExit("a call runs nothing")

for number in range(int(sys.argv[2])):
    add_note(number, "é", fields={"a": [None, 1.5], "b": {"c": True}})
"""
APP = """
@fluxqueue.task(queue="q", max_retries=5)
def add_note(number, text, *, fields):
    assert (text, fields) == ("é", {"a": [None, 1.5], "b": {"c": True}})
    note(number)
"""
WAITING, DELAYED, DEAD = "fluxqueue:queue:q", "fluxqueue:failed:q", "fluxqueue:dead:q"
CALLS, FAILED, DIED = 400, 30, 20


def failed(raw: bytes, retries: int) -> bytes:
    """A message as the old worker, which is not in the index, writes it after failures."""
    parts = msgspec.msgpack.decode(raw)
    parts[5] = retries
    return msgspec.msgpack.encode(parts)


def test_each_task_of_the_real_package_moves_and_runs_once(
    redis: Any, redis_url: str, tmp_path: Path
) -> None:
    environment = peer_environment("fluxqueue_0_3_2", alone=True)
    (tmp_path / "produce.py").write_text(PRODUCER)
    environment.run("python", "produce.py", redis_url, str(CALLS), cwd=tmp_path)
    redis.zadd(
        DELAYED,
        {failed(raw, 2): int(time.time()) - 1 for raw in redis.rpop(WAITING, FAILED)},
    )
    redis.lpush(DEAD, *[failed(raw, 5) for raw in redis.rpop(WAITING, DIED)])
    waiting = CALLS - FAILED - DIED
    out, _ = run(redis_url, "migrate", "--underscores", "--dry-run")
    assert out == (f"q to q: would move {waiting} waiting, {FAILED} delayed, {DIED} dead; 0 stay\n")
    command = [sys.executable, "-m", "fluxqueue", "migrate", "--underscores", "-r", redis_url]
    reached: list[Callable[[], bool]] = [
        lambda: redis.llen(key("pending", "q")) > 50,
        lambda: redis.zcard(key("delayed", "q")) > 0,
        lambda: redis.zcard(key("dead", "q")) > 0,
    ]
    for number, has_moved in enumerate(reached):
        killed = subprocess.Popen([*command, "--rate", "300"], stdout=subprocess.DEVNULL)
        wait_until(has_moved)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert number > 0 or redis.llen(WAITING) > 0
    run(redis_url, "migrate", "--underscores")
    assert redis.exists(WAITING, DELAYED, DEAD) == 0
    with (
        SchedulerProcess(tmp_path, redis_url),
        WorkerProcess(tmp_path, redis_url, APP, queue="q") as worker,
    ):
        wait_until(lambda: len(worker.notes()) >= CALLS - DIED)
        run(redis_url, "dead", "replay", "-q", "q", "--all")
        wait_until(lambda: len(worker.notes()) >= CALLS)
        assert worker.stop() == 0
        assert sorted(map(int, worker.notes())) == list(range(CALLS))
