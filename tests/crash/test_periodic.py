"""Each moment of a periodic task comes once, whatever is killed, cut off or restarted."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from fluxqueue_core.periodic.record import run_id, template_id
from redis import Redis
from support.proxy import RESET, Proxy, port_of
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until, wait_until_past
from support.worker_process import WorkerProcess

# More than one call of the script takes.
ENTRIES = [f"entry-{n}" for n in range(150)]
SECONDS = 12


def schedule(url: str) -> None:
    """Periodic tasks, each every second, of which no moment is left out."""
    app = FluxQueue(url)

    @app.task(queue="q")
    def work(entry: str) -> None: ...

    for entry in ENTRIES:
        app.schedule(entry, work.call(entry), every=1, catch_up=100, expires=None)
    app.close()


def check(redis: Any) -> None:
    """Every second from the first one on has a run of each entry, and no two."""
    ids = [raw[13:49].decode() for raw in redis.lrange(key("pending", "q"), 0, -1)]
    assert len(set(ids)) == len(ids), "a moment came twice"
    for entry in ENTRIES:
        template = template_id("", "q", entry)
        moments = sorted(int(i[:8] + i[9:13], 16) for i in ids if i[13:] == template[13:])
        assert [run_id(template, moment) in ids for moment in moments] == [True] * len(moments)
        assert moments == list(range(moments[0], moments[-1] + 1_000, 1_000)), entry
        assert len(moments) >= SECONDS - 1


def now_of(redis: Any) -> int:
    """The time of Redis, in seconds."""
    seconds, _ = redis.time()
    return int(seconds)


def wait_for_runs(redis: Any, scheduler: SchedulerProcess) -> None:
    """Waits until each entry has its moments up to now."""
    now = now_of(redis)
    due = key("periodic:due", "q")
    wait_until(
        lambda: min(score for _, score in redis.zrange(due, 0, -1, withscores=True)) > now * 1_000,
        what=scheduler.output,
    )


def test_schedulers_that_are_killed_lose_and_double_no_moment(
    redis: Any, redis_url: str, tmp_path: Path, chance: random.Random
) -> None:
    redis.sadd(key("queues"), "q")
    schedule(redis_url)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as started:

        def start(folder: Path) -> SchedulerProcess:
            return started.enter_context(SchedulerProcess(folder, redis_url))

        running = [start(folder) for folder in folders]
        end = now_of(redis) + SECONDS
        while now_of(redis) < end:
            wait_until_past(time.monotonic() + chance.uniform(0.2, 1.5))
            at = chance.randrange(2)
            running[at].kill()
            running[at] = start(folders[at])
        wait_for_runs(redis, running[0])
    check(redis)


def test_connections_that_are_cut_lose_and_double_no_moment(
    redis: Any, redis_url: str, tmp_path: Path, chance: random.Random
) -> None:
    redis.sadd(key("queues"), "q")
    schedule(redis_url)
    port, database = port_of(redis_url)
    with (
        Proxy(port, delay=0.003) as proxy,
        SchedulerProcess(tmp_path, f"{proxy.url}/{database}") as scheduler,
    ):
        end = now_of(redis) + SECONDS
        while now_of(redis) < end:
            wait_until_past(time.monotonic() + chance.uniform(0.05, 0.6))
            proxy.cut_all(RESET)
        wait_for_runs(redis, scheduler)
    check(redis)


def test_a_redis_that_restarts_loses_and_doubles_no_moment(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis", appendfsync="always") as server:
        redis = Redis.from_url(server.url)
        redis.sadd(key("queues"), "q")
        schedule(server.url)
        with SchedulerProcess(tmp_path, server.url) as scheduler:
            end = now_of(redis) + SECONDS
            while now_of(redis) < end:
                wait_until_past(time.monotonic() + 1.3)
                server.kill()
                server.start()
            wait_for_runs(redis, scheduler)
        check(redis)


def test_a_new_release_replaces_the_declaration_of_one_that_was_killed(
    redis: Any, redis_url: str, tmp_path: Path
) -> None:
    app = """
@fluxqueue.periodic(every=1)
@fluxqueue.task()
def work():
    note("run")
"""
    folder = tmp_path / "scheduler"
    folder.mkdir()
    with SchedulerProcess(folder, redis_url) as scheduler:
        with WorkerProcess(tmp_path, redis_url, app) as worker:
            worker.wait_for("periodic.added", periodic="work")
            wait_until(lambda: len(worker.notes()) >= 2, what=scheduler.output)
            worker.kill()
        with WorkerProcess(tmp_path, redis_url, app.replace("every=1", "every=2")) as worker:
            worker.wait_for("periodic.changed", periodic="work")
        assert redis.hlen(key("periodic", "default")) == 1
