"""Tasks of Django run by `manage.py fluxqueue_worker`: their results, statuses and signals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from redis import Redis
from support.django_process import DjangoWorker, tasks_in
from support.keys import unknown_keys
from support.logging_process import LoggingProcess
from support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("django")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), appendfsync="no") as server:
        yield server
        with Redis.from_url(server.url) as client:
            assert not unknown_keys(client)


@pytest.fixture(scope="module")
def worker(server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A worker of the project, with a scheduler."""
    folder = tmp_path_factory.mktemp("site")
    with (
        DjangoWorker(folder, server.url, concurrency=1) as worker,
        LoggingProcess(folder, server.url, "fluxqueue_scheduler", {}),
    ):
        worker.wait_for("worker.connected", queue="mails")
        yield worker
        assert worker.stop() == 0, worker.output()


@pytest.fixture
def tasks(server: EmbeddedRedis, worker: DjangoWorker) -> Iterator[Any]:
    """The tasks of the project, in this process."""
    with tasks_in(server.url):
        from support.django_site.parcels import tasks

        yield tasks


def finished(result: Any) -> Any:
    """Waits for the end of a task, and returns its result."""

    def ended() -> bool:
        result.refresh()
        return bool(result.is_finished)

    wait_until(ended, what=lambda: f"the end of {result}")
    return result


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "value"),
    [
        ("add", (1, 2), {}, [1, [2, 2], {"sum": 3}]),
        ("add", ("ä",), {"b": "b"}, ["ä", ["b", "b"], {"sum": "äb"}]),
        ("add", ((1, 2), [3]), {}, None),
        ("add_async", (1,), {"b": 2}, 3),
        ("mail", ("ada",), {"when": "2026-12-01"}, "ada str"),
        ("snooze_once", (), {}, 2),
    ],
)
def test_a_result_is_what_json_makes_of_the_value(
    tasks: Any, name: str, args: Any, kwargs: Any, value: Any
) -> None:
    task = getattr(tasks, name)
    result = task.enqueue(*args, **kwargs)
    assert (result.status, result.task, result.attempts) == ("READY", task, 0)
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value
    finished(result)
    if value is None:  # a list and a list can be added, a tuple became one
        value = [[1, 2], [[3], [3]], {"sum": [1, 2, 3]}]
    assert (result.status, result.return_value) == ("SUCCESSFUL", value), result
    assert result.enqueued_at <= result.started_at <= result.last_attempted_at
    # The outcome has milliseconds.
    assert result.finished_at >= result.last_attempted_at
    assert result.errors == []
    again = task.get_result(result.id)
    assert again == result and again.task == task


@pytest.mark.parametrize("name", ["use_database", "use_database_async"])
def test_connections_of_the_database_are_closed_after_a_task(tasks: Any, name: str) -> None:
    for _ in range(2):  # in the same thread
        assert finished(getattr(tasks, name).enqueue()).return_value == [False, True]


@pytest.mark.parametrize("name", ["fail_at_first", "fail_at_first_async"])
def test_a_retried_task_has_the_errors_and_the_workers_of_all_attempts(
    tasks: Any, worker: DjangoWorker, name: str
) -> None:
    result = finished(getattr(tasks, name).enqueue(2))
    assert (result.status, result.return_value) == ("SUCCESSFUL", [3, result.id])
    assert result.attempts == 3 and len(set(result.worker_ids)) == 1
    assert [error.exception_class for error in result.errors] == [ValueError, ValueError]
    assert result.started_at < result.last_attempted_at
    heard = worker.notes(result.id)
    words = [line.split()[:5] for line in heard]
    start = ["started", "FluxQueueBackend", "RUNNING", name, "-"]
    assert words == [start] * 3 + [["finished", "FluxQueueBackend", "SUCCESSFUL", name, "-"]]


@pytest.mark.parametrize(
    ("name", "kind", "attempts"),
    [
        ("fail", "support.django_site.parcels.tasks.OddError", 3),
        ("fail_async", "support.django_site.parcels.tasks.OddError", 3),
        ("reject", "fluxqueue.Reject", 1),
    ],
)
def test_a_failed_task_has_its_error(
    tasks: Any, worker: DjangoWorker, name: str, kind: str, attempts: int
) -> None:
    result = finished(getattr(tasks, name).enqueue())
    assert result.status == "FAILED" and result.attempts == attempts
    assert [error.exception_class_path for error in result.errors] == [kind] * attempts
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    trace = result.errors[-1].traceback
    assert trace.startswith("Traceback") and "definitions.py" not in trace
    assert f"in {name}\n" in trace
    *_, last = worker.notes(result.id)
    # The error is the one that is being handled.
    assert last.split()[:5] == [
        *("finished", "FluxQueueBackend", "FAILED", name),
        kind.rpartition(".")[2],
    ]
    assert len(worker.notes(f"- {result.id}")) == attempts


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("return_a_set", TypeError, "Unsupported type"),
        ("exit_process", SystemExit, "bye"),
    ],
)
def test_an_odd_end_is_a_failure_of_the_task(tasks: Any, name: str, kind: type, text: str) -> None:
    task = getattr(tasks, name)
    result = finished(task.enqueue())
    assert result.attempts == 1
    assert result.status == "FAILED"
    assert result.errors[-1].exception_class is kind and text in result.errors[-1].traceback


def test_a_task_without_an_attempt_fails_with_an_error_of_fluxqueue(
    tasks: Any, server: EmbeddedRedis
) -> None:
    from django.utils import timezone
    from fluxqueue import FluxQueue, TaskCancelled, TaskExpired

    later = tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1, 2)
    again = tasks.add.get_result(later.id)
    assert again.status == "READY" and again.task.run_after == later.task.run_after
    FluxQueue(server.url).handle(later.id).cancel()
    finished(later)
    assert later.status == "FAILED" and later.errors[-1].exception_class is TaskCancelled

    busy = tasks.wait.enqueue(0.3)
    expired = tasks.add.using(expires=0.05).enqueue(1, 2)
    assert finished(busy).return_value == "slept"
    finished(expired)
    assert expired.status == "FAILED" and expired.errors[-1].exception_class is TaskExpired
    assert expired.attempts == 0 and expired.started_at is None


def test_a_task_runs_while_its_status_is_running(tasks: Any) -> None:
    result = tasks.wait.enqueue(0.5)

    def is_running() -> bool:
        result.refresh()
        return str(result.status) == "RUNNING"

    wait_until(is_running)
    assert result.attempts == 1 and result.started_at is not None
    assert finished(result).return_value == "slept"


def test_async_calls_enqueue_and_read(tasks: Any) -> None:
    from fluxqueue.django.framework import TaskResultDoesNotExist

    async def go() -> Any:
        results = await asyncio.gather(*(tasks.add_async.aenqueue(n, n) for n in range(20)))
        for result in results:
            while not result.is_finished:
                await result.arefresh()
        with pytest.raises(TaskResultDoesNotExist):
            await tasks.add_async.aget_result("019aa0c2-7b1f-7c3e-8d2a-0123456789ab")
        return [result.return_value for result in results]

    assert asyncio.run(go()) == [2 * n for n in range(20)]


def test_the_worker_runs_the_tasks_of_fluxqueue_too(
    tasks: Any, worker: DjangoWorker, server: EmbeddedRedis
) -> None:
    from fluxqueue import FluxQueue

    client = FluxQueue(server.url)
    client.declare("plain").enqueue("of an object")
    client.declare("plain_of_client", queue="mails").enqueue("of the client")
    wait_until(lambda: {"of an object", "of the client"} <= {*worker.notes()})


def test_a_queue_that_no_task_names_serves_all_of_them(tasks: Any) -> None:
    assert finished(tasks.add_async.using(queue_name="nobody").enqueue(1)).return_value == 1
