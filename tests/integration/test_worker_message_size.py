"""The worker parks a message larger than the limit, however it got there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue, MessageTooLarge
from fluxqueue_core import key
from support.raw_messages import dead, delayed, message, promote_all
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def work(text):
    note(f"work {len(text)}")

@fluxqueue.task()
async def work_async(text):
    note(f"work_async {len(text)}")

@fluxqueue.task(max_retries=1)
def fails_once(text):
    note(f"fails_once {len(text)}")
    if not os.path.exists("failed"):
        open("failed", "w").close()
        raise ValueError("once")
"""


def test_a_message_of_64_mib_is_parked_and_others_run(
    tmp_path: Path, redis: Any, redis_url: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("worker.connected")
        # A BLMOVE delivers the first one. An exchange claims the second one, with others.
        huge, large = message("work", "x" * (64 << 20)), message("work_async", "x" * (9 << 20))
        redis.lpush(key("pending", "default"), huge)
        wait_until(lambda: redis.zcard(key("dead", "default")) == 1, what=worker.output)
        redis.lpush(key("pending", "default"), message("work", "y"), large)
        wait_until(lambda: redis.zcard(key("dead", "default")) == 2, what=worker.output)
        # To the byte.
        assert set(redis.hvals(key("dead:messages", "default"))) == {huge, large}
        reasons = list(dead(redis).values())
        assert [reason["reason"] for reason in reasons] == ["malformed"] * 2
        for reason in reasons:
            assert "more than max_message_bytes of this worker allows (8388608)" in reason["error"]
        redis.lpush(key("pending", "default"), message("work_async", "zz"))
        wait_until(lambda: len(worker.notes()) == 2, what=worker.output)
        assert sorted(worker.notes()) == ["work 1", "work_async 2"]
        assert worker.stop() == 0
    redis.flushdb()  # other tests need Redis' memory


def test_a_message_that_a_client_could_just_send_runs_and_is_retried(
    tmp_path: Path, redis: Any, redis_url: str
) -> None:
    app = FluxQueue(redis_url, max_message_bytes=1000)

    @app.task(max_retries=1)
    def fails_once(text: str) -> None: ...

    size = 1000 - len(message("fails_once", "", max_retries=1))
    with pytest.raises(MessageTooLarge):
        fails_once("x" * (size + 1))
    limit = {"FLUXQUEUE_MAX_MESSAGE_BYTES": "1000"}
    with WorkerProcess(tmp_path, redis_url, APP, variables=limit) as worker:
        fails_once("x" * size)
        wait_until(lambda: len(delayed(redis)) == 1, what=worker.output)
        [(retried, _)] = delayed(redis)
        assert retried["retries"] == 1
        promote_all(redis)
        wait_until(lambda: len(worker.notes()) == 2, what=worker.output)
        assert worker.notes() == [f"fails_once {size}"] * 2
        redis.lpush(key("pending", "default"), message("work", "x" * 2000))
        wait_until(lambda: redis.zcard(key("dead", "default")) == 1, what=worker.output)
        [reason] = redis.hvals(key("dead:reasons", "default"))
        assert "max_message_bytes of this worker allows (1000)" in json.loads(reason)["error"]
        assert worker.stop() == 0
    app.close()


def test_the_limit_of_the_application_holds_for_its_worker(
    tmp_path: Path, redis: Any, redis_url: str
) -> None:
    large = 9 << 20
    app = FluxQueue(redis_url, max_message_bytes=2 * large)

    @app.task()
    def work(text: str) -> None: ...

    source = APP.replace("@fluxqueue", "@raised")
    source = f"raised = FluxQueue(None, max_message_bytes={2 * large})\n{source}"
    with WorkerProcess(tmp_path, redis_url, source) as worker:
        work("x" * large)
        wait_until(lambda: worker.notes() == [f"work {large}"], what=worker.output)
        assert worker.stop() == 0
    app.close()
