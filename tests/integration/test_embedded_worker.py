"""A worker in the process of the tests."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from fluxqueue import Context, FluxQueue, ResultDeadlock, ResultTimeout
from fluxqueue.errors import BrokerUnavailable, ConfigurationError
from fluxqueue_core import key
from fluxqueue_worker.embedded_worker import EmbeddedWorker
from redis import Redis
from support.ports import free_port
from support.raw_messages import dead, pending
from support.waiting import PATIENCE, wait_until

request_id = ContextVar("request_id", default="none")


class App:
    """An application with a task that runs until `open` is set."""

    def __init__(self, redis_url: str, **settings: Any) -> None:
        self.queue = queue = FluxQueue(redis_url, **settings)
        self.open = threading.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []

        @queue.task(result_ttl=60)
        def add(one: int, two: int) -> int:
            return one + two

        @queue.task(result_ttl=60)
        async def add_async(one: int, two: int) -> int:
            await asyncio.sleep(0)
            return one + two

        @queue.task()
        def hold(name: str) -> None:
            self.begun.append(name)
            while not self.open.is_set():
                self.open.wait(0.01)
            self.ended.append(name)

        self.add, self.add_async, self.hold = add, add_async, hold


@pytest.fixture
def app(redis_url: str) -> Iterator[App]:
    app = App(redis_url)
    yield app
    app.open.set()


def runs(worker: EmbeddedWorker) -> bool:
    return worker.running


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("fluxqueue")}


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [
        record.fluxqueue  # type: ignore[attr-defined]
        for record in caplog.records
        if record.name == "fluxqueue.worker" and record.getMessage().split(" ")[0] == event
    ]


def test_it_runs_sync_and_async_tasks(app: App) -> None:
    with EmbeddedWorker(app.queue) as worker:
        assert runs(worker) and worker.problems() == []
        assert app.add.enqueue(1, 2).result(PATIENCE) == 3
        handle = asyncio.run(app.add_async.enqueue_async(3, 4))
        assert handle.result(PATIENCE) == 7
    assert not runs(worker)
    assert worker.problems() == ["the worker does not run"]


async def _both(app: App) -> int:
    async with EmbeddedWorker(app.queue):
        handle = await app.add_async.enqueue_async(1, 2)
        return await handle.result_async(PATIENCE)


@pytest.mark.parametrize("begun", [False, True])
def test_a_start_that_is_cancelled_leaves_no_worker(begun: bool) -> None:
    queue = FluxQueue(f"redis://127.0.0.1:{free_port()}")
    queue.task(name="work")(lambda: None)
    worker = EmbeddedWorker(queue)

    async def main() -> None:
        starting = asyncio.ensure_future(worker.start_async(PATIENCE if begun else 0))
        await asyncio.sleep(0)
        while begun and not worker.running:
            await asyncio.sleep(0.001)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not worker.running

    asyncio.run(main())  # it waits for its threads
    assert not worker.running


def test_it_is_an_async_context_manager(app: App) -> None:
    assert asyncio.run(_both(app)) == 3


def test_many_starts_leave_no_thread_and_no_descriptor(app: App) -> None:
    worker, before = EmbeddedWorker(app.queue), threads()
    found = []
    for _ in range(6):
        with worker:
            assert app.add.enqueue(1, 2).result(PATIENCE) == 3
        gc.collect()
        found.append(len(os.listdir("/dev/fd")))
    # A connection of a thread that ends may be open at one look and closed at the next.
    assert found[-1] <= max(found[:2]), found
    wait_until(lambda: threads() <= before, what=lambda: str(threads()))


def test_a_worker_that_has_stopped_is_not_kept(app: App) -> None:
    with EmbeddedWorker(app.queue) as worker:
        run = worker._run
        assert run is not None
        gone = weakref.ref(run._worker)
    del worker, run
    gc.collect()
    assert gone() is None


def test_two_workers_in_one_process_serve_their_own_objects(redis_url: str) -> None:
    shop = App(redis_url, namespace="shop")
    bank = App(redis_url, namespace="bank")
    with EmbeddedWorker(shop.queue):
        with EmbeddedWorker(bank.queue):
            sums = [app.add.enqueue(number, 1) for number in range(5) for app in (shop, bank)]
            found = [handle.result(PATIENCE) for handle in sums]
            assert found == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        assert shop.add.enqueue(1, 1).result(PATIENCE) == 2
        with pytest.raises(ResultTimeout):
            bank.add.enqueue(1, 1).result(0.05)


def test_the_program_waits_for_results_and_a_task_does_not(app: App) -> None:
    @app.queue.task(result_ttl=60, max_retries=0)
    def outer() -> str:
        try:
            app.add.enqueue(1, 2).result(PATIENCE)
        except ResultDeadlock:
            return "refused"
        return "waited"

    with EmbeddedWorker(app.queue):
        assert outer.enqueue().result(PATIENCE) == "refused"
        assert app.add.enqueue(1, 2).result(PATIENCE) == 3


def test_a_task_finds_the_context_of_the_start(app: App) -> None:
    @app.queue.task(result_ttl=60)
    def read() -> str:
        found = request_id.get()
        request_id.set("changed by a task")
        return found

    request_id.set("of the program")
    with EmbeddedWorker(app.queue, concurrency=1):
        request_id.set("later")
        found = [read.enqueue().result(PATIENCE) for _ in range(2)]
    assert found == ["of the program", "of the program"]
    assert request_id.get() == "later"


def test_the_program_keeps_its_signals_and_its_logging(app: App) -> None:
    def state() -> tuple[Any, ...]:
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
        root = logging.getLogger()
        filters = [list(handler.filters) for handler in root.handlers]
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
        handlers = [signal.getsignal(number) for number in numbers]
        return handlers, wakeup, list(root.handlers), filters, root.level

    before = state()
    with EmbeddedWorker(app.queue):
        assert state() == before
        assert app.add.enqueue(1, 2).result(PATIENCE) == 3
    assert state() == before


def test_its_lines_go_to_logging(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fluxqueue.worker")

    @app.queue.task(max_retries=0)
    def fail(text: str) -> None:
        raise ValueError(text)

    with EmbeddedWorker(app.queue):
        handle = app.add.enqueue(1, 2)
        handle.result(PATIENCE)
        fail.enqueue("first\nforged")
        wait_until(lambda: lines(caplog, "task.dead"))
    [done] = lines(caplog, "task.done")
    assert (done["task_id"], done["name"], done["attempt"]) == (handle.id, "add", 1)
    [text] = [r.getMessage() for r in caplog.records if r.getMessage().startswith("task.dead")]
    assert "\nforged" not in text
    assert all(line.startswith("    ") for line in text.split("\n")[1:])
    assert "ValueError" in text.split("\n")[1:][-2]


def test_a_drain_gives_back_what_waits_and_finishes_what_runs(app: App, redis: Redis) -> None:
    worker = EmbeddedWorker(app.queue, concurrency=1)
    worker.start()
    app.hold.enqueue("first")
    app.hold.enqueue("second")
    wait_until(lambda: app.begun)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    wait_until(lambda: worker.problems() == ["the worker drains"])
    wait_until(lambda: len(pending(redis)) == 1)
    app.open.set()
    stopping.join()
    assert (app.begun, app.ended) == (["first"], ["first"])
    assert [parts["args"] for parts in pending(redis)] == [b'["second"]']


def test_a_task_that_does_not_end_is_given_back_and_runs_again(
    app: App, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    worker = EmbeddedWorker(app.queue, concurrency=1)
    worker.start()
    handle = app.hold.enqueue("long")
    wait_until(lambda: app.begun)
    assert worker.stop(0) is False
    [waiting] = pending(redis)
    assert (waiting["task_id"], waiting["deliveries"]) == (handle.id, 0)
    assert [line["task_id"] for line in lines(caplog, "task.left_running")] == [handle.id]
    # The code goes on, and its end counts for nothing.
    with EmbeddedWorker(app.queue) as second:
        wait_until(lambda: len(app.begun) == 2)
        app.open.set()
        wait_until(lambda: len(app.ended) == 2)
        wait_until(lambda: not pending(redis) and second.stop())
    assert not redis.keys(key("claimed", "default", "*"))


def test_a_stuck_task_has_failed_and_does_not_block_the_end(app: App, redis: Redis) -> None:
    @app.queue.task(timeout=0.05, max_retries=0)
    def stubborn() -> None:
        app.begun.append("stubborn")
        while not app.open.is_set():
            try:
                app.open.wait(0.01)
            except BaseException:  # noqa: BLE001 - TaskTimeout too
                continue

    worker = EmbeddedWorker(app.queue, timeout_grace=0.0)
    worker.start()
    handle = stubborn.enqueue()
    wait_until(lambda: app.begun)
    assert worker.stop(5) is False
    assert list(dead(redis)) == [handle.id]
    assert "timeout" in str(dead(redis)[handle.id])


def test_a_second_stop_cuts_the_drain_short(app: App, redis: Redis) -> None:
    worker = EmbeddedWorker(app.queue)
    worker.start()
    app.hold.enqueue("long")
    wait_until(lambda: app.begun)
    stopping = threading.Thread(target=worker.stop, args=(600,))
    stopping.start()
    wait_until(lambda: worker.problems() == ["the worker drains"])
    assert worker.stop(0) is False
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert len(pending(redis)) == 1


def test_stop_without_a_start_and_a_second_start(app: App) -> None:
    worker = EmbeddedWorker(app.queue)
    assert worker.stop() is True
    with worker:
        with pytest.raises(RuntimeError, match="runs already"):
            worker.start()
        assert app.add.enqueue(1, 2).result(PATIENCE) == 3


def test_start_reports_a_redis_that_is_down_or_does_not_wait() -> None:
    app = App(f"redis://127.0.0.1:{free_port()}/0")
    worker = EmbeddedWorker(app.queue)
    with pytest.raises(BrokerUnavailable, match=r"queue default: .*refused"):
        worker.start(timeout=0.2)
    assert not runs(worker)
    worker.start(timeout=0)
    assert runs(worker)
    assert "queue default" in worker.problems()[0]
    assert worker.stop(0) is True


def test_wrong_objects_and_settings_are_named(redis_url: str) -> None:
    app = App(redis_url)
    other = App(redis_url, namespace="other")
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        ((), {}, TypeError, "give the FluxQueue objects"),
        (("app",), {}, TypeError, "not str"),
        ((app.queue,), {"concurrency": 0}, ConfigurationError, "concurrency: '0' is not"),
        ((app.queue,), {"queues": ["a b"]}, ConfigurationError, "queues: .*a b"),
        ((app.queue,), {"lease": float("nan")}, ConfigurationError, "lease: 'nan'"),
        ((app.queue,), {"queues": "mail"}, ConfigurationError, "no task for queue 'mail'"),
        ((FluxQueue(redis_url),), {}, ConfigurationError, "no tasks at all"),
        ((app.queue, other.queue), {}, ConfigurationError, "several namespaces"),
        ((app.queue, App("redis://elsewhere/0").queue), {}, ConfigurationError, "different places"),
    ]
    for objects, settings, error, text in cases:
        with pytest.raises(error, match=text):
            EmbeddedWorker(*objects, **settings).start()


def test_another_worker_replaces_one_that_failed(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedWorker(app.queue, concurrency=1) as worker:
        run = worker._run
        assert run is not None
        first = run._worker
        first._crashed(RuntimeError("a fault of the worker"))
        wait_until(lambda: run._worker is not first)
        assert app.add.enqueue(1, 2).result(PATIENCE) == 3
    [failed] = lines(caplog, "worker.failed")
    assert failed["error"] == "RuntimeError: a fault of the worker"
    assert lines(caplog, "worker.restarts")


def test_a_forked_child_has_no_worker_and_leaves_that_of_its_parent(app: App) -> None:
    with EmbeddedWorker(app.queue) as worker:
        pid = os.fork()
        if pid == 0:
            try:
                fine = not runs(worker) and worker.stop()
                del worker
                gc.collect()
            finally:
                os._exit(0 if fine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert runs(worker)
        assert app.add.enqueue(1, 2).result(PATIENCE) == 3


def test_a_context_has_the_attempts_of_the_task(app: App) -> None:
    @app.queue.task_with_context(result_ttl=60)
    def name(ctx: Context) -> str:
        return ctx.metadata.task_id

    with EmbeddedWorker(app.queue):
        handle = name.enqueue()
        assert handle.result(PATIENCE) == handle.id


def test_work_done_while_starting_and_stopping_is_done_once(app: App, redis: Redis) -> None:
    done: list[int] = []

    @app.queue.task()
    def note(number: int) -> None:
        time.sleep(0.001)
        done.append(number)

    note.enqueue_many((number,) for number in range(60))
    worker = EmbeddedWorker(app.queue, concurrency=3)
    while pending(redis):
        worker.start()
        assert worker.stop() is True
    assert sorted(done) == list(range(60))


AT_THE_END = """
import sys, threading, time
from fluxqueue import FluxQueue
from fluxqueue_worker.embedded_worker import EmbeddedWorker

app = FluxQueue(sys.argv[1])
begun = threading.Event()

@app.task(timeout=600)
def work(seconds):
    begun.set()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.001)
    print("ended", flush=True)

worker = EmbeddedWorker(app)
worker.start()
work.enqueue(float(sys.argv[2]))
begun.wait()
{end}
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("seconds", "end", "output", "left"),
    [
        # The drain at the end of the program.
        ("0.2", "", "ended\n", 0),
        # A task that does not end is given back, and does not abort the program.
        ("600", "print(worker.stop(0))", "True\n", 1),
    ],
)
def test_the_end_of_the_program_drains(
    redis_url: str, redis: Redis, seconds: str, end: str, output: str, left: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_END.replace("{end}", end), redis_url, seconds],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, output), done.stderr
    assert len(pending(redis)) == left
    assert not redis.keys(key("claimed", "default", "*"))
