"""`fluxqueue workers` makes the workers report their memory and what runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from support import acl
from support.operator_commands import objects, run
from support.scripts import DAY, Scripts
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
import asyncio

@fluxqueue.task()
async def waits(name):
    note("began")
    while not os.path.exists(name):
        await asyncio.sleep(0.01)
"""
WHO = '{"host":"h","pid":7,"version":"1","slots":2}'


def test_workers_report_after_the_first_call(redis_url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    app = FluxQueue(redis_url)
    waits = app.declare("waits")
    with WorkerProcess(tmp_path, redis_url, APP, lease=1, concurrency=4) as worker:
        # It is idle.
        wait_until(lambda: objects(redis_url, "workers") != [], what=worker.output)
        wait_until(lambda: objects(redis_url, "workers")[0]["report"] is not None)
        out, said = run(redis_url, "workers")
        head, line = out.splitlines()
        assert head.split()[-2:] == ["MEMORY", "RUNNING"]
        assert line.split()[-2:] == ["MiB", "nothing"] and said == ""
        ids = {waits.enqueue(str(gate)).id for _ in range(3)}
        app.close()

        def reported() -> Any:
            return objects(redis_url, "workers")[0]["report"]

        wait_until(lambda: reported()["running"] == 3, what=worker.output)
        assert {task["task_id"] for task in reported()["tasks"]} == ids
        out, _ = run(redis_url, "workers")
        assert out.count("waits for ") == 2 and out.rstrip().endswith(", 1 more")
        gate.touch()
        assert worker.stop() == 0


def test_a_worker_without_a_report_is_named(redis: Any, redis_url: str, scripts: Scripts) -> None:
    assert run(redis_url, "workers") == ("", "")
    redis.sadd(key("queues"), "q", "empty")
    scripts.open("c", who=WHO, lease=DAY)
    _, said = run(redis_url, "workers", "--json")
    assert "without a report yet: 1 of 1; a worker reports within a third of its lease" in said
    assert redis.exists(key("watched", "q")) and not redis.exists(key("watched", "empty"))


@pytest.mark.versions
def test_a_user_who_only_looks_sees_the_workers(server: EmbeddedRedis, admin: Any) -> None:
    scripts = Scripts(admin)
    admin.sadd(key("queues"), "q")
    scripts.open("c", who=WHO, lease=DAY)
    acl.create(admin, "operator", acl.of_looking())
    url = acl.url("operator", server.url)
    out, said = run(url, "workers")
    assert out.splitlines()[1].split()[:4] == ["q", "h", "7", "1"]
    assert "without a report yet: 1 of 1; this command can't ask for one: " in said
    assert "SET" in said.upper()
    assert not admin.exists(key("watched", "q"))
