"""A worker describes itself to operators, and Redis keeps the text as long as it serves."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import Consumer, Settings, __version__, key
from fluxqueue_core.errors import ConfigurationError
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def work():
    note("work")

@fluxqueue.task(queue="größe")
def measure():
    note("measure")
"""


def said(redis: Any, queue: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in redis.hvals(key("workers", queue))]


def test_a_worker_says_who_it_is_until_it_stops(tmp_path: Path, redis_url: str, redis: Any) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=3, queue="größe,default") as worker:
        wait_until(lambda: said(redis, "default") and said(redis, "größe"), what=worker.output)
        for queue in ("default", "größe"):
            [who] = said(redis, queue)
            assert who == {
                "host": socket.gethostname(),
                "pid": worker.pid,
                "version": __version__,
                "slots": 3,
                "queues": ["größe", "default"],
                "suspects": False,
            }
            [consumer] = redis.hkeys(key("workers", queue))
            assert redis.zscore(key("consumers", queue), consumer) > 0
        assert worker.stop() == 0
    assert not redis.exists(key("workers", "default"), key("workers", "größe"))


def test_a_text_that_is_too_long_is_refused(redis_url: str) -> None:
    settings = Settings(redis_url)
    Consumer(settings, ["q"], {"q": {}}, who="x" * 4096)
    with pytest.raises(ConfigurationError, match=r"who has 4097 bytes; give 4096 at most"):
        Consumer(settings, ["q"], {"q": {}}, who="x" * 4097)
    with pytest.raises(ConfigurationError, match=r"who has 8192 bytes"):
        Consumer(settings, ["q"], {"q": {}}, who="ü" * 4096)
