"""Callers get what a task returned, or why it did not, from a real worker."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from fluxqueue import (
    FluxQueue,
    ResultNotKept,
    ResultTimeout,
    TaskFailed,
    TaskHandle,
    gather_results,
    gather_results_sync,
)
from fluxqueue.waiting import listener
from fluxqueue_core import key
from redis import Redis
from support.raw_messages import dead
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

@dataclass
class Order:
    id: UUID
    total: Decimal
    at: datetime

@fluxqueue.task(result_ttl=60)
def add(a, b):
    return a + b

@fluxqueue.task(result_ttl=60)
async def add_async(a, b):
    return a + b

@fluxqueue.task(result_ttl=60)
def order(number: str) -> Order:
    return Order(UUID(number), Decimal("1.10"), datetime.fromisoformat("2026-01-02T03:04:05+00:00"))

@fluxqueue.task(result_ttl=60, max_retries=1, retry_delay=0.001)
def fail(text):
    raise KeyError(text)

@fluxqueue.task(result_ttl=60, max_retries=0)
async def fail_async(text):
    raise ValueError(text)

@fluxqueue.task(result_ttl=60, max_retries=0)
def odd(kind):
    return {"set": {1}, "nan": [float("nan")], "large": "x" * 9_000_000, "deep": b"x"}[kind]

@fluxqueue.task(result_ttl=60)
def large(size):
    return "x" * size

@fluxqueue.task(result_ttl=60)
def gate():
    while not os.path.exists("open"):
        time.sleep(0.01)
    return "opened"

@fluxqueue.task(result_ttl=60, timeout=60)
def timed():
    return "in time"

@fluxqueue.task()
def plain():
    return {1}

@fluxqueue.task(queue="other", result_ttl=60)
def inner():
    return "inner"

@fluxqueue.task(result_ttl=60, max_retries=0)
def outer(queue, in_worker):
    name = {"default": add, "other": inner}[queue]
    args = (1, 2) if queue == "default" else ()
    return str(name.enqueue(*args).result(20, in_worker=in_worker))

@fluxqueue.task(result_ttl=60, max_retries=0)
async def outer_async(queue, in_worker):
    return str(await (await add_async.enqueue_async(1, 2)).result_async(20, in_worker=in_worker))
"""

NUMBER = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"


@dataclass
class Order:
    id: UUID
    total: Decimal
    at: datetime


class Stubs:
    """The tasks of the application, as a caller declares them."""

    def __init__(self, client: FluxQueue) -> None:
        kept = client.task(result_ttl=60)

        @kept
        def add(a: int, b: int) -> int:
            raise NotImplementedError

        @kept
        async def add_async(a: int, b: int) -> int:
            raise NotImplementedError

        @kept
        def order(number: str) -> Order:
            raise NotImplementedError

        @client.task(result_ttl=60, max_retries=1)
        def fail(text: str) -> None: ...

        @client.task(result_ttl=60, max_retries=0)
        async def fail_async(text: str) -> None: ...

        @client.task(result_ttl=60, max_retries=0)
        def odd(kind: str) -> None: ...

        @kept
        def large(size: int) -> str:
            raise NotImplementedError

        @kept
        def gate() -> str:
            raise NotImplementedError

        @kept
        def timed() -> str:
            raise NotImplementedError

        @client.task()
        def plain() -> None: ...

        self.add, self.add_async, self.order, self.fail = add, add_async, order, fail
        self.fail_async, self.odd, self.large, self.gate = fail_async, odd, large, gate
        self.timed, self.plain = timed, plain


@pytest.fixture
def tasks(client: FluxQueue) -> Stubs:
    return Stubs(client)


def subscriptions(redis: Redis) -> int:
    """How many channels have a subscriber."""
    return len(redis.pubsub_channels("fluxqueue:*"))


def test_a_caller_gets_what_a_task_returned(
    tmp_path: Path, redis_url: str, redis: Redis, tasks: Stubs
) -> None:
    handles: list[TaskHandle[int]] = [tasks.add.enqueue(1, 2), tasks.add_async.enqueue(3, 4)]
    assert handles[0].status() == "unfinished"
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        assert [handle.result(20) for handle in handles] == [3, 7]
        # A later look finds it too, and so does another process that has only the id.
        assert handles[0].result(timeout=0) == 3
        assert handles[0].status() == "succeeded"
        other = FluxQueue(redis_url).handle(handles[1].id)
        assert other.result(timeout=5) == 7
        assert tasks.order.enqueue(NUMBER).result(20) == Order(
            UUID(NUMBER), Decimal("1.10"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        )
        assert tasks.timed.enqueue().result(20) == "in time"
        assert worker.stop() == 0
    stored = key("result", "default", handles[0].id)
    assert 0 < redis.pttl(stored) <= 60_000
    wait_until(lambda: subscriptions(redis) == 0)


@pytest.mark.parametrize("name", ["fail", "fail_async"])
def test_a_caller_gets_the_error_of_a_failed_task(
    tmp_path: Path, redis_url: str, redis: Redis, tasks: Stubs, name: str
) -> None:
    handle = getattr(tasks, name).enqueue("no such thing")
    with WorkerProcess(tmp_path, redis_url, APP) as worker, SchedulerOf(redis):
        with pytest.raises(TaskFailed) as caught:
            handle.result(20)
        assert worker.stop() == 0
    error = caught.value
    kind = {"fail": "KeyError", "fail_async": "ValueError"}[name]
    assert (error.task_id, error.queue, error.state) == (handle.id, "default", "failed")
    assert error.error_type == kind and "no such thing" in error.error_text
    assert error.attempts == {"fail": 2, "fail_async": 1}[name]
    assert error.remote_traceback is not None
    assert f"in {name}" in error.remote_traceback and "Traceback" in error.__notes__[0]
    assert error.worker is not None and error.worker.rpartition(":")[2].isdigit()
    assert handle.status() == "failed"
    assert [entry["reason"] for entry in dead(redis).values()] == ["failed"]


class SchedulerOf:
    """Promotes due tasks meanwhile."""

    def __init__(self, redis: Redis) -> None:
        from support.raw_messages import promote_all

        self._over = threading.Event()

        def promote() -> None:
            while not self._over.wait(0.02):
                promote_all(redis)

        self._thread = threading.Thread(target=promote)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("set", "JSON can't carry it"),
        ("nan", "no NaN"),
        ("large", "more than max_message_bytes"),
        ("deep", "JSON can't carry it"),
    ],
)
def test_a_result_that_can_not_be_kept_fails_its_task(
    tmp_path: Path, redis_url: str, tasks: Stubs, kind: str, says: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        with pytest.raises(TaskFailed, match=says):
            tasks.odd.enqueue(kind).result(20)
        assert worker.stop() == 0


def test_results_of_every_size_arrive(tmp_path: Path, redis_url: str, tasks: Stubs) -> None:
    sizes = [0, 4_000, 5_000, 100_000, 3_000_000]
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        handles = [tasks.large.enqueue(size) for size in sizes]
        assert [len(text) for text in gather_results_sync(handles, 30)] == sizes
        # These are read by a look, for they are there before the wait.
        assert [len(text) for text in gather_results_sync(handles, 30)] == sizes
        assert worker.stop() == 0


def test_a_wait_ends_at_its_timeout_and_leaves_nothing(
    redis: Redis, client: FluxQueue, tasks: Stubs
) -> None:
    handle = tasks.add.enqueue(1, 2)
    with pytest.raises(ResultTimeout, match="no result within") as caught:
        handle.result(timeout=0.05)
    assert caught.value.task_id == handle.id
    with pytest.raises(ResultTimeout):
        asyncio.run(handle.result_async(timeout=0.05))
    with pytest.raises(ResultTimeout):
        handle.result(timeout=0)
    for wrong in (-1, float("nan"), None):
        with pytest.raises(ValueError, match="give seconds"):
            handle.result(timeout=wrong)  # type: ignore[arg-type]
    assert listener(client.settings).waits == 0
    wait_until(lambda: subscriptions(redis) == 0)


def test_a_wait_for_a_task_without_results_is_refused_at_once(tasks: Stubs) -> None:
    handle = tasks.plain.enqueue()
    for wait in (handle.result, handle.status, lambda: asyncio.run(handle.result_async())):
        with pytest.raises(ResultNotKept, match="without result_ttl"):
            wait()


def test_a_plain_task_keeps_nothing(
    tmp_path: Path, redis_url: str, redis: Redis, tasks: Stubs
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        handle = tasks.plain.enqueue()
        worker.wait_for("task.done", task_id=handle.id)
        assert worker.stop() == 0
    assert not redis.keys("fluxqueue:*:result:*")


def test_threads_and_loops_wait_over_one_connection(
    tmp_path: Path, redis_url: str, redis: Redis, client: FluxQueue, tasks: Stubs
) -> None:
    handles = [tasks.gate.enqueue() for _ in range(4)]
    adds = [tasks.add.enqueue(n, n) for n in range(1_000)]
    got: list[object] = []
    threads = [
        threading.Thread(target=lambda each=each: got.append(each.result(60)), daemon=True)
        for each in handles * 5
    ]
    for thread in threads:
        thread.start()

    async def main() -> None:
        waits = gather_results([*handles, *adds], 60)
        got.append(await waits)

    loop = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    loop.start()
    wait_until(lambda: subscriptions(redis) == 1_004)
    subscribers = [c for c in redis.client_list() if int(c["sub"])]
    assert len(subscribers) == 1
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=8) as worker:
        (tmp_path / "open").touch()
        for thread in [*threads, loop]:
            thread.join(60)
        assert worker.stop() == 0
    assert got.count("opened") == 20
    assert [["opened"] * 4 + [2 * n for n in range(1_000)]] == [g for g in got if g != "opened"]
    assert listener(client.settings).waits == 0
    wait_until(lambda: subscriptions(redis) == 0)


def test_a_cancelled_wait_leaves_nothing(redis: Redis, client: FluxQueue, tasks: Stubs) -> None:
    handle = tasks.add.enqueue(1, 2)

    async def main() -> None:
        waiting = asyncio.create_task(handle.result_async(60))
        while not subscriptions(redis):
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(main())
    assert listener(client.settings).waits == 0
    wait_until(lambda: subscriptions(redis) == 0)


def test_a_call_can_keep_its_result(tmp_path: Path, redis_url: str, client: FluxQueue) -> None:
    @client.task()
    def plain() -> None: ...

    @client.task(name="add")
    def add(a: int, b: int) -> int:
        raise NotImplementedError

    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        assert add.options(result_ttl=60).enqueue(1, 2).result(20) == 3
        waiting = asyncio.run(add.options(result_ttl=60).enqueue_async(3, 4))
        assert waiting.result(20) == 7
        # The worker goes by the message, whatever the declaration of its code says.
        with pytest.raises(TaskFailed, match="JSON can't carry it"):
            plain.options(result_ttl=60, max_retries=0).enqueue().result(20)
        assert worker.stop() == 0
    with pytest.raises(ResultNotKept):
        add.enqueue(1, 2).result()


@pytest.mark.parametrize("name", ["outer", "outer_async"])
def test_a_task_waits_for_its_own_queue_only_if_it_says_so(
    tmp_path: Path, redis_url: str, client: FluxQueue, name: str
) -> None:
    outer = client.declare(name, result_ttl=60, max_retries=0)
    with (
        WorkerProcess(tmp_path, redis_url, APP, concurrency=2) as worker,
        WorkerProcess(tmp_path, redis_url, APP, queue="other") as other,
    ):
        with pytest.raises(TaskFailed, match="ResultDeadlock") as caught:
            outer.enqueue("default", False).result(20)
        assert caught.value.error_type == "fluxqueue_core.errors.ResultDeadlock"
        assert outer.enqueue("default", True).result(20) == "3"
        if name == "outer":
            assert outer.enqueue("other", False).result(20) == "inner"
            # In the other case it may still be starting, and not heed a signal yet.
            assert other.stop() == 0
        assert worker.stop() == 0


def test_middleware_of_telemetry_sees_what_can_not_be_kept(
    tmp_path: Path, redis_url: str, tasks: Stubs
) -> None:
    """The result is encoded inside the attempt, with the SDK too."""
    variables = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}
    with WorkerProcess(tmp_path, redis_url, APP, variables=variables) as worker:
        handles = [tasks.add.enqueue(1, 2), tasks.add_async.enqueue(3, 4)]
        assert gather_results_sync(handles, 30) == [3, 7]
        with pytest.raises(TaskFailed, match="JSON can't carry it"):
            tasks.odd.enqueue("set").result(20)
        assert worker.stop() == 0
