"""A real worker process on a real Redis whose task leaves it no free file descriptor."""

from __future__ import annotations

from pathlib import Path

from redis import Redis
from support.raw_messages import dead, push
from support.worker_process import WorkerProcess, wait_until

APP = """
held = []

@fluxqueue.task()
def fail():
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        raise ValueError("no descriptor is left") from None

@fluxqueue.task()
def fail_again():
    while held:
        os.close(held.pop())
    raise ValueError("all are free")
"""


def test_a_task_that_fails_without_a_free_descriptor_is_settled(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=1, under=("prlimit", "--nofile=256")):
        first = push(redis, "fail", retries=3)
        wait_until(lambda: first in dead(redis))
        second = push(redis, "fail_again", retries=3)
        wait_until(lambda: second in dead(redis))
    found = dead(redis)
    assert found[first]["reason"] == "failed"
    assert "no descriptor is left" in found[first]["error"]
    # The first failure of a process loads a module.
    assert found[first]["traceback"].startswith("There is no traceback: its module can't be loaded")
    assert found[second]["traceback"].startswith("Traceback")
