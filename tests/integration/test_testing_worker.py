"""`fluxqueue.testing.worker`: a real worker in the process of a test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue, ResultError
from fluxqueue.testing import WorkerMode, worker
from redis import Redis
from support.waiting import PATIENCE, wait_until

if TYPE_CHECKING:
    from fluxqueue.embedded import EmbeddedRedis

NOWHERE = "redis://127.0.0.1:1?connect_timeout=0.1&timeout=0.1"


class App:
    def __init__(self) -> None:
        self.queue = queue = FluxQueue(NOWHERE, namespace="shop")
        self.ran: list[Any] = []

        @queue.task(result_ttl=600)
        def add(one: int, two: int) -> int:
            self.ran.append((one, two))
            return one + two

        @queue.task(queue="slow", max_retries=2, retry_delay=3000, jitter=False, result_ttl=60_000)
        async def fail() -> None:
            self.ran.append("attempt")
            raise ValueError("no")

        self.add, self.fail = add, fail


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def mode(app: App, redis_server: EmbeddedRedis) -> WorkerMode:
    return worker(app.queue, redis_url=redis_server.url)


def test_tasks_run_in_threads_of_this_process(app: App, mode: WorkerMode) -> None:
    before = set(threading.enumerate())  # other tests leave threads of other parts
    with mode as tasks:
        handles = app.add.enqueue_each([(1, 2), (3, 4)])
        tasks.wait_until_idle(PATIENCE)
        assert sorted(app.ran) == [(1, 2), (3, 4)]
        assert [handle.result() for handle in handles] == [3, 7]
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("fluxqueue")]


def test_everything_is_as_before_at_the_end(
    app: App, mode: WorkerMode, redis_server: EmbeddedRedis
) -> None:
    before = repr(app.queue), app.queue.broker.producer
    with pytest.raises(ZeroDivisionError), mode:  # noqa: PT012
        app.add.options(delay=1000)(1, 2)
        assert repr(app.queue) != before[0] and 1 / 0
    assert (repr(app.queue), app.queue.broker.producer) == before
    with Redis.from_url(redis_server.url) as redis:
        assert not list(redis.scan_iter(f"fluxqueue.{mode.namespace}:*"))
    with pytest.raises(BrokerUnavailable):
        app.add(1, 2)


def test_retries_run_when_the_test_travels(app: App, mode: WorkerMode) -> None:
    with mode as tasks:
        handle = app.fail.enqueue()
        tasks.wait_until_idle(PATIENCE)
        assert app.ran == ["attempt"]
        tasks.travel(2990)
        tasks.wait_until_idle(PATIENCE)
        assert app.ran == ["attempt"]
        tasks.travel(10)
        tasks.wait_until_idle(PATIENCE)
        assert app.ran == ["attempt"] * 2
        assert handle.status() == "unfinished"
        tasks.drain(PATIENCE)
        assert app.ran == ["attempt"] * 3
        with pytest.raises(ResultError, match="failed after 3 attempts: ValueError: no"):
            handle.result()
        with pytest.raises(ValueError, match="can't go back"):
            tasks.travel(-1)


def test_a_task_expires_when_the_test_travels(app: App, mode: WorkerMode) -> None:
    @app.queue.task(result_ttl=600, expires=100, unique=True)
    def late(number: int) -> None:
        app.ran.append(number)

    with mode as tasks:
        handle = late.options(delay=60).enqueue(1)
        assert not late.enqueue(1).created
        tasks.travel(200)
        tasks.wait_until_idle(PATIENCE)
        assert handle.status() == "expired" and app.ran == []
        assert late.enqueue(1).created


def test_results_and_throttles_end_when_the_test_travels(app: App, mode: WorkerMode) -> None:
    @app.queue.task(throttle=60)
    def sync() -> None:
        app.ran.append("sync")

    with mode as tasks:
        handle = app.add.enqueue(1, 2)
        sync()
        tasks.wait_until_idle(PATIENCE)
        tasks.travel(59)
        sync()
        assert handle.status() == "succeeded"
        tasks.travel(541)
        assert handle.status() == "unfinished"
        sync()
        tasks.wait_until_idle(PATIENCE)
    assert sorted(map(str, app.ran)) == ["(1, 2)", "sync", "sync"]


def test_a_task_that_is_declared_later_runs_too(app: App, mode: WorkerMode) -> None:
    with mode as tasks:

        @app.queue.task(queue="later")
        def later() -> None:
            app.ran.append("later")

        later()
        tasks.wait_until_idle(PATIENCE)
    assert app.ran == ["later"]


def test_a_task_that_was_unknown_before_its_declaration_runs_too(
    app: App, redis_server: EmbeddedRedis
) -> None:
    caller = FluxQueue(NOWHERE, namespace="shop")
    with worker(app.queue, caller, redis_url=redis_server.url) as tasks:
        caller.declare("later").enqueue(1, unknown_since=5)
        wait_until(lambda: tasks._queues.held().later == 1)

        @app.queue.task()
        def later(number: int, unknown_since: int) -> None:
            app.ran.append(number + unknown_since)

        tasks.wait_until_idle(PATIENCE)
    assert app.ran == [6]


TWINS = """
import sys
from fluxqueue import FluxQueue
from fluxqueue.testing import worker

def one_test(number):
    with worker(redis_url=sys.argv[1]) as tasks:
        queue = FluxQueue("redis://127.0.0.1:1")

        @queue.task(queue="twins")
        def note(by: int) -> None:
            ran.append((by, number))

        note(number)
        tasks.wait_until_idle(60)
    return tasks

ran = []
kept = [one_test(number) for number in range(3)]
assert ran == [(0, 0), (1, 1), (2, 2)] and len(kept) == 3, ran
"""


def test_each_test_can_make_an_object_with_the_same_tasks(redis_server: EmbeddedRedis) -> None:
    # In a process where no other test has left an object.
    subprocess.run([sys.executable, "-c", TWINS, redis_server.url], check=True, timeout=120)


def test_a_task_that_does_not_end_is_named_in_numbers(app: App, mode: WorkerMode) -> None:
    opened = threading.Event()

    @app.queue.task()
    def hold() -> None:
        opened.wait(PATIENCE)

    with mode as tasks:
        hold()
        with pytest.raises(TimeoutError, match=r"after 0 s, [01] tasks wait and [01] run"):
            tasks.wait_until_idle(0)
        opened.set()
        tasks.wait_until_idle(PATIENCE)


@pytest.mark.parametrize("timeout", [float("nan"), -1])
def test_a_wait_needs_a_timeout(app: App, mode: WorkerMode, timeout: float) -> None:
    with mode as tasks:
        for wait in (tasks.wait_until_idle, tasks.drain):
            with pytest.raises(ValueError, match="give 0 s or more"):
                wait(timeout)


def test_an_async_test_waits_without_blocking_its_loop(app: App, mode: WorkerMode) -> None:
    async def test(tasks: WorkerMode) -> None:
        handle = await app.add.enqueue_async(1, 2)
        await app.fail()
        await tasks.wait_until_idle_async(PATIENCE)
        assert await handle.result_async() == 3
        await tasks.drain_async(PATIENCE)
        assert app.ran.count("attempt") == 3

    with mode as tasks:
        asyncio.run(test(tasks))


def test_the_variable_names_the_redis_of_all_tests(
    app: App, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXQUEUE_TEST_REDIS_URL", redis_server.url)
    with worker(app.queue):
        assert app.queue.settings.url == f"{redis_server.url}/0"
        assert app.add.enqueue(1, 2).result() == 3
