"""A real worker process on a real Redis: how tasks end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from redis import Redis
from support.raw_messages import dead, delayed, pending, promote_all, push
from support.worker_process import WorkerProcess, wait_until

APP = """
@fluxqueue.task()
def add(first, *, second=0):
    note(f"{first}+{second}")

@fluxqueue.task()
async def add_async(first, *, second=0):
    note(f"async {first}+{second}")

@fluxqueue.task(retry_delay=2)
def fail(text):
    raise ValueError(text)

@fluxqueue.task(retry_delay=2)
async def fail_async(text):
    raise ValueError(text)

@fluxqueue.task()
def leave():
    raise SystemExit(7)

@fluxqueue.task()
async def leave_async():
    raise SystemExit(7)

@fluxqueue.task_with_context()
def count(ctx: Context, text):
    storage = ctx.thread_storage
    storage["count"] = storage.get("count", 0) + 1
    note(f"{text} {storage['count']} {ctx.metadata.task_id} {ctx.metadata.retries}")

@fluxqueue.task(queue="mail")
def send(to):
    note(f"mail {to}")

@fluxqueue.task()
def gate():
    note("gate")
    while not os.path.exists("open"):
        time.sleep(0.01)
"""


def test_sync_and_async_tasks_run_with_their_arguments(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        ids = {
            push(redis, "add", 1, kwargs={"second": 2}),
            push(redis, "add", "é"),
            push(redis, "add_async", 3, kwargs={"second": 4}),
            push(redis, "add_async", [5]),
        }
        worker.wait_for("task.done", count=4)
        assert {line["task_id"] for line in worker.named("task.done")} == ids
        assert worker.stop() == 0
    assert sorted(worker.notes()) == ["1+2", "async 3+4", "async [5]+0", "é+0"]
    assert pending(redis) == []


@pytest.mark.parametrize("name", ["fail", "fail_async"])
def test_a_failure_with_retries_left_is_delayed(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    before = time.time()
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        task_id = push(redis, name, "bad", retries=1)
        line = worker.wait_for("task.retry", task_id=task_id)
        wait_until(lambda: delayed(redis))
        after = time.time()
    ((parts, due),) = delayed(redis)
    assert (parts["task_id"], parts["retries"], parts["deliveries"]) == (task_id, 2, 0)
    # The second retry of a delay of 2 s: 4 s, and with jitter at least 2 s.
    assert before + 2 <= due / 1000 <= after + 4
    assert (line["attempt"], line["error"]) == (2, "ValueError: bad")
    assert 2 <= line["delay"] <= 4
    assert f"in {name}" in line["exception"]


@pytest.mark.parametrize("name", ["fail", "fail_async"])
def test_after_the_last_retry_a_task_is_dead_with_its_error(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        used_up = push(redis, name, "bad", retries=3)
        no_retries = push(redis, name, "worse", max_retries=0)
        worker.wait_for("task.dead", count=2, reason="failed")
        wait_until(lambda: len(dead(redis)) == 2)
        assert worker.stop() == 0
    assert dead(redis)[used_up]["error"] == "ValueError: bad"
    assert dead(redis)[no_retries]["reason"] == "failed"
    assert f"in {name}" in dead(redis)[no_retries]["traceback"]
    assert delayed(redis) == []


def test_dead_tasks_are_not_kept_where_that_is_not_wanted(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, no_save_dead_tasks=True) as worker:
        push(redis, "fail", "bad", max_retries=0)
        worker.wait_for("task.dead")
        assert worker.stop() == 0
    assert dead(redis) == {}
    assert pending(redis) == []


def test_arguments_that_do_not_fit_are_dead_at_once_and_the_worker_goes_on(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        misfits = [push(redis, "add"), push(redis, "add_async", 1, 2)]
        misfits.append(push(redis, "count", "x", "y"))
        push(redis, "add", 1)
        worker.wait_for("task.dead", count=3, reason="arguments")
        worker.wait_for("task.done")
        wait_until(lambda: len(dead(redis)) == 3)
        assert worker.stop() == 0
    assert {dead(redis)[task_id]["reason"] for task_id in misfits} == {"arguments"}
    assert worker.notes() == ["1+0"]


@pytest.mark.parametrize("name", ["leave", "leave_async"])
def test_a_task_can_not_end_the_worker(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, name)
        assert worker.wait_for("task.retry")["error"] == "SystemExit: 7"
        push(redis, "add", 1)
        push(redis, "add_async", 2)
        worker.wait_for("task.done", count=2)
        assert worker.stop() == 0


def test_a_context_knows_the_attempt_and_keeps_the_threads_storage(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=1) as worker:
        first = push(redis, "count", "a")
        second = push(redis, "count", "b", retries=2)
        worker.wait_for("task.done", count=2)
        assert worker.stop() == 0
    assert worker.notes() == [f"a 1 {first} 0", f"b 2 {second} 2"]


def test_queues_are_served_in_order_of_priority(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=1, queue="mail,default") as worker:
        push(redis, "gate")
        wait_until(lambda: worker.notes() == ["gate"])
        # All at once, however busy the machine is.
        with redis.pipeline(transaction=True) as together:
            for number in range(200):
                push(together, "add", number)
            for number in range(5):
                push(together, "send", number, queue="mail")
            together.execute()
        (tmp_path / "open").touch()
        worker.wait_for("task.done", count=206)
        assert worker.stop() == 0
    order = worker.notes()
    # The worker runs tasks of the lower queue that it holds while it asks for the higher one.
    later = order[order.index("mail 4") + 1 :]
    assert len(later) >= 100
    assert not any(note.startswith("mail") for note in later)


def test_with_one_slot_no_queue_starves(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    """An idle queue of higher priority must not keep the only slot for itself."""
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=1, queue="mail,default") as worker:
        worker.wait_for("worker.connected", count=2)
        for number in range(5):
            push(redis, "add", number)
            worker.wait_for("task.done", count=number + 1)
        assert worker.stop() == 0


def test_a_task_of_another_queue_is_known_by_its_name(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, "send", "me")
        assert worker.wait_for("task.done")["queue"] == "default"
        assert worker.stop() == 0
    assert worker.notes() == ["mail me"]


def test_an_unknown_task_is_kept_for_others_and_then_parked(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        task_id = push(redis, "from_the_next_release", 1)
        worker.wait_for("task.unknown", task_id=task_id)
        wait_until(lambda: delayed(redis))
        assert worker.stop() == 0
    ((parts, _),) = delayed(redis)
    assert (parts["task_id"], parts["retries"], parts["deliveries"]) == (task_id, 0, 0)

    redis.flushdb()
    with WorkerProcess(tmp_path, redis_url, APP, unknown_task_grace=0) as worker:
        task_id = push(redis, "from_the_last_release", 1)
        wait_until(lambda: delayed(redis))
        promote_all(redis)
        worker.wait_for("task.parked", task_id=task_id)
        wait_until(lambda: task_id in dead(redis))
        assert worker.stop() == 0


def test_the_first_line_says_what_is_served_and_no_password(tmp_path: Path) -> None:
    url = "redis://someone:secret@127.0.0.1:1/2"
    with WorkerProcess(tmp_path, url, APP, concurrency=3, queue="mail,default") as worker:
        line = worker.wait_for("worker.started")
        assert worker.stop() == 0
    assert line["queues"] == ["mail", "default"]
    assert "send" in line["tasks"]["mail"]
    assert line["concurrency"] == 3
    assert line["redis"] == "redis://127.0.0.1:1/2"
    assert "secret" not in worker.output()


def test_a_worker_starts_without_redis_and_says_so(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "redis://127.0.0.1:1/0", APP) as worker:
        worker.wait_for("worker.disconnected")
        assert worker.stop() == 0


FORKS = """
import asyncio

def fork(how):
    child = os.fork()
    if child == 0:
        if how == "return":
            return
        raise SystemExit(3) if how == "exit" else ValueError("in the child")
    note(f"{how} {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")

@fluxqueue.task()
def fork_sync(how):
    fork(how)

@fluxqueue.task()
async def fork_async(how):
    fork(how)

@fluxqueue.task()
async def fork_in_a_later_step(how):
    await asyncio.sleep(0.001)
    fork(how)

@fluxqueue.task()
async def fork_and_wait():
    child = os.fork()
    if child == 0:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return
    note(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("name", ["fork_sync", "fork_async", "fork_in_a_later_step"])
def test_a_forked_child_ends_where_the_task_ends_and_settles_nothing(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, FORKS, concurrency=1) as worker:
        for how in ("return", "exit", "error"):
            push(redis, name, how)
        worker.wait_for("task.done", count=3)
        worker.wait_for_output("ValueError: in the child")
        assert worker.stop() == 0
    assert worker.notes() == ["return 0", "exit 3", "error 1"]
    assert len(worker.named("task.done")) == 3
    assert worker.named("task.retry") == []


def test_a_forked_child_ends_if_its_code_waits_for_the_loop_of_the_parent(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, FORKS, concurrency=1) as worker:
        push(redis, "fork_and_wait")
        worker.wait_for("task.done")
        assert worker.stop() == 0
    assert worker.notes() == ["1"], "no loop runs in the child"


def loaded(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def test_a_worker_with_sync_tasks_only_does_not_load_an_event_loop(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    app = "@fluxqueue.task()\ndef one(): note('ran')\n"
    with WorkerProcess(tmp_path, redis_url, app) as worker:
        push(redis, "one")
        worker.wait_for("task.done")
        libraries = loaded(worker.pid)
        assert "orjson" in libraries or "msgspec" in libraries
        for name in ("uvloop", "_asyncio", "_ssl", "structlog"):
            assert name not in libraries
        assert worker.stop() == 0
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("worker.connected")
        assert "_asyncio" in loaded(worker.pid)
        assert worker.stop() == 0
