"""A Flask application under gunicorn: with and without --preload, with threads and greenlets."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from fluxqueue_core import key
from redis import Redis
from support.raw_messages import pending
from support.waiting import wait_until
from support.web_process import WebProcess

# It enqueues when it is imported: with --preload, in the process that gunicorn forks.
APP = """
import os
from flask import Flask
from fluxqueue import FluxQueue

queue = FluxQueue()

@queue.task(result_ttl=60)
def work(where):
    return where

work("import")
app = Flask(__name__)

@app.get("/")
def home():
    return "here"

@app.post("/tasks")
def place():
    handle = work.enqueue("request")
    work.enqueue_many([("bulk",)] * 3)
    return f"{os.getpid()} {handle.id} {handle.status()}"

@app.get("/result")
def result():
    return work.enqueue("result").result(30)
"""
PAGE = (Path(__file__).parents[2] / "docs/flask.md").read_text()
HOOKS = PAGE.split("# gunicorn.conf.py\n")[1].split("```")[0].replace("from shop ", "from app ")


@pytest.mark.parametrize(
    ("arguments", "imports"),
    [
        (["--workers=2"], 2),
        (["--workers=2", "--preload"], 1),
        (["-k=gevent"], 1),
        (["--preload", "-k=gevent"], 1),
    ],
    ids=["sync", "preload", "gevent", "preloaded gevent"],
)
def test_requests_enqueue_under_gunicorn(
    tmp_path: Path, redis_url: str, redis: Redis, arguments: list[str], imports: int
) -> None:
    with ExitStack() as stack:
        web = stack.enter_context(
            WebProcess(tmp_path, redis_url, APP, "gunicorn", "app:app", *arguments)
        )
        wait_until(lambda: len(pending(redis)) == imports, what=web.output)
        clients = stack.enter_context(ThreadPoolExecutor(8))
        answers = list(clients.map(lambda _: web.post("/tasks"), range(24)))
        assert {status for status, _ in answers} == {200}, web.output()
        found = [text.split() for _, text in answers]
        assert {state for _, _, state in found} == {"unfinished"}
        ids = {task_id for _, task_id, _ in found}
        assert len(ids) == 24 and ids <= {parts["task_id"] for parts in pending(redis)}
        assert len(pending(redis)) == imports + 24 * 4
        if "-k=gevent" in arguments:
            # One process serves other requests while a call waits for Redis.
            redis.client_pause(60_000, all=False)
            waiting = clients.submit(web.post, "/tasks")
            wait_until(lambda: calls_that_wait(redis), what=web.output)
            assert web.get("/") == (200, "here") and not waiting.done()
            redis.client_unpause()
            assert waiting.result()[0] == 200
        assert web.stop() == 0, web.output()


def calls_that_wait(redis: Redis) -> int:
    """How many clients wait for the end of the pause."""
    return int(redis.info("clients")["blocked_clients"])


def test_hooks_of_gunicorn_run_a_worker_in_each_process(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(HOOKS)
    arguments = ["--workers=2", "--preload", "-k=gthread", "--threads=4"]
    with WebProcess(tmp_path, redis_url, APP, "gunicorn", "app:app", *arguments) as web:
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda _: web.get("/result"), range(12)))
        assert answers == [(200, "result")] * 12
        wait_until(lambda: not pending(redis))
        assert len(redis.keys(key("claimed", "default", "*"))) == 0
        web.signal(signal.SIGTERM)
        assert web.wait() == 0, web.output()
    consumers = redis.zrangebyscore(key("consumers", "default"), 0, "+inf")
    assert list(consumers) == []
