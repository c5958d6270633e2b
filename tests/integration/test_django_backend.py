"""The backend for Django's Tasks framework, without a worker: what it enqueues and reads."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import django
import pytest
from fluxqueue_core import key
from redis import Redis
from support.django_process import tasks_in
from support.waiting import wait_until


@pytest.fixture
def backend(redis_url: str) -> Iterator[Any]:
    with tasks_in(redis_url) as backend:
        yield backend


@pytest.fixture
def tasks(backend: Any) -> Any:
    from support.django_site.parcels import tasks

    return tasks


def waiting(redis: Redis, queue: str = "default") -> list[dict[str, Any]]:
    """The messages of a queue that wait for a worker."""
    raw: Any = redis.lrange(key("pending", queue), 0, -1)
    raw += redis.zrange(key("prioritized", queue), 0, -1)
    return [json.loads(message) for message in raw]


def test_all_four_flags_are_true(backend: Any) -> None:
    flags = ("supports_defer", "supports_async_task", "supports_get_result", "supports_priority")
    assert [getattr(backend, flag) for flag in flags] == [True] * 4


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"priority": -101}, "priority must be a whole number between -100 and 100."),
        ({"priority": 101}, "priority must be a whole number between -100 and 100."),
        ({"priority": 1.5}, "priority must be a whole number between -100 and 100."),
        ({"run_after": datetime(2030, 1, 1)}, "run_after must be an aware datetime."),
        ({"queue_name": "elsewhere"}, "Queue 'elsewhere' is not valid for backend."),
        ({"timeout": -1}, "timeout"),
        ({"max_retries": "many"}, "max_retries"),
    ],
)
def test_a_task_that_is_not_valid_is_refused(
    tasks: Any, changes: dict[str, Any], text: str
) -> None:
    from fluxqueue.django.framework import InvalidTask

    with pytest.raises(InvalidTask, match=text.replace(".", r"\.")):
        tasks.add.using(**changes)


def test_a_call_is_checked_again_when_it_is_enqueued(tasks: Any, redis_url: str) -> None:
    from fluxqueue.django.framework import InvalidTask

    task = tasks.add.using(queue_name="mails")
    with tasks_in(redis_url, queues=["default"]):
        with pytest.raises(InvalidTask, match="Queue 'mails'"):
            task.enqueue(1, 2)
        with pytest.raises(InvalidTask, match="Queue 'mails'"):
            asyncio.run(task.aenqueue(1, 2))
    with tasks_in(redis_url, queues=[]):
        assert task.using(queue_name="any").enqueue(1, 2).status == "READY"


@pytest.mark.parametrize("options", [{"retry_delay": 9}, {"delay": 1}, {"bananas": 1}])
def test_using_takes_only_what_a_call_may_change(tasks: Any, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="using"):
        tasks.add.using(**options)


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((datetime(2030, 1, 1), 2), {}, "Unsupported type"),
        (({1}, 2), {}, "Unsupported type"),
        ((1,), {}, "missing 1 required positional argument: 'b'"),
        ((1, 2), {"c": 3}, "unexpected keyword argument 'c'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_the_call(
    tasks: Any, redis: Redis, args: Any, kwargs: Any, text: str
) -> None:
    with pytest.raises(TypeError, match=text):
        tasks.add.enqueue(*args, **kwargs)
    with pytest.raises(TypeError, match=text):
        asyncio.run(tasks.add.aenqueue(*args, **kwargs))
    # No record stays behind.
    assert redis.keys("*") == []


def test_a_call_without_a_worker_is_ready_in_every_process(tasks: Any, redis: Redis) -> None:
    result = tasks.mail.enqueue("ada", when="today")
    [message] = waiting(redis, "mails")
    assert (message["id"], message["name"]) == (result.id, tasks.mail.module_path)
    assert (message["args"], message["kwargs"]) == (["ada"], {"when": "today"})
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        again = tasks.mail.get_result(result.id)
        tasks.mail.enqueue("bob", when="now")
        os.write(write, repr(again == result).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"True"
    os.close(read)
    os.close(write)
    assert len(waiting(redis, "mails")) == 2


@pytest.mark.parametrize(
    ("priority", "level"),
    [(-100, 0), (-1, 4), (-20, 4), (-21, 3), (0, 5), (1, 6), (25, 6), (26, 7), (100, 9)],
)
def test_a_priority_keeps_its_side_of_zero(
    tasks: Any, redis: Redis, priority: int, level: int
) -> None:
    result = tasks.add.using(priority=priority).enqueue(1, 2)
    [message] = waiting(redis)
    assert message["opts"].get("p", 0) == level, message
    assert tasks.add.get_result(result.id).task.priority == priority


def test_run_after_delays_a_call(tasks: Any, redis: Redis) -> None:
    from django.utils import timezone

    tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1, 2)
    assert redis.zcard(key("delayed", "default")) == 1
    tasks.add.using(run_after=timezone.now() - timedelta(hours=1)).enqueue(1, 2)
    assert len(waiting(redis)) == 1


def test_options_of_the_settings_and_of_a_call_are_in_the_message(
    redis_url: str, redis: Redis
) -> None:
    from support.django_site.parcels import tasks

    options = {"*": {"timeout": 30}, tasks.add.module_path: {"max_retries": 7}}
    with tasks_in(redis_url, TASK_OPTIONS=options):
        tasks.add.enqueue(1, 2)
        tasks.add.using(timeout=5, max_retries=1).enqueue(1, 2)
        tasks.wait.enqueue(1)
    by_name = [
        (m["name"].rpartition(".")[2], m["timeout"], m["max_retries"]) for m in waiting(redis)
    ]
    assert sorted(by_name) == [("add", 5, 1), ("add", 30, 7), ("wait", 30, 0)]


@pytest.mark.skipif(django.VERSION[:2] == (6, 0), reason="its decorator takes no options")
def test_the_decorator_takes_options(tasks: Any, redis: Redis) -> None:
    from fluxqueue.django import FluxTask
    from fluxqueue.django.framework import InvalidTask

    made = tasks.task(max_retries=5, timeout=9, priority=7)(tasks.add.func)
    assert isinstance(made, FluxTask)
    made.using(max_retries=6).enqueue(1, 2)
    [message] = waiting(redis)
    assert (message["max_retries"], message["timeout"]) == (6, 9)
    with pytest.raises(TypeError, match="bananas"):
        tasks.task(bananas=1)(tasks.add.func)
    with pytest.raises(InvalidTask, match="timeout"):
        tasks.task(timeout=-1)(tasks.add.func)


def test_a_unique_task_gives_the_result_of_the_one_that_waits(redis_url: str, redis: Redis) -> None:
    from fluxqueue.django.framework import task_enqueued
    from support.django_site.parcels import tasks

    heard: list[str] = []

    def hear(sender: type, task_result: Any, **others: Any) -> None:
        heard.append(task_result.id)

    task_enqueued.connect(hear)
    with tasks_in(redis_url, TASK_OPTIONS={tasks.add.module_path: {"unique": True}}):
        first, second = tasks.add.enqueue(1, 2), tasks.add.enqueue(1, 2)
        other = asyncio.run(tasks.add.aenqueue(1, 3))
        third = asyncio.run(tasks.add.aenqueue(1, 2))
        assert first.id == second.id == third.id != other.id
        assert tasks.add.get_result(second.id).status == "READY"
    assert heard == [first.id, other.id]
    assert len(waiting(redis)) == 2
    task_enqueued.disconnect(hear)


def test_signals_come_before_the_call_is_sent(tasks: Any, redis: Redis) -> None:
    from fluxqueue.django.framework import task_enqueued

    heard: list[tuple[Any, str, bool]] = []

    def hear(sender: type, task_result: Any, **others: Any) -> None:
        found = tasks.add.get_result(task_result.id)
        heard.append((sender.__name__, str(found.status), task_result.enqueued_at is not None))
        assert not waiting(redis)
        raise LookupError("refused by a receiver")

    task_enqueued.connect(hear)
    try:
        with pytest.raises(LookupError):
            tasks.add.enqueue(1, 2)
        with pytest.raises(LookupError):
            asyncio.run(tasks.add.aenqueue(1, 2))
    finally:
        task_enqueued.disconnect(hear)
    assert heard == [("FluxQueueBackend", "READY", True)] * 2
    assert waiting(redis) == []


def test_a_result_that_is_gone_does_not_exist(tasks: Any, backend: Any, redis: Redis) -> None:
    from fluxqueue.django.framework import TaskResultDoesNotExist

    result = tasks.add.enqueue(1, 2)
    redis.delete(key("django", "", result.id))
    ids: list[Any] = [result.id, "123", "", 123, None, "a:b", "x" * 300, result.id.upper()]
    for task_id in ids:
        with pytest.raises(TaskResultDoesNotExist):
            backend.get_result(task_id)


def test_a_result_of_another_task_is_a_mismatch(tasks: Any) -> None:
    result = tasks.add.enqueue(1, 2)
    with pytest.raises(Exception, match="Task does not match"):
        tasks.mail.get_result(result.id)


def test_a_result_is_readable_when_the_settings_and_the_code_have_changed(
    tasks: Any, redis_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fluxqueue.django import declared

    result = tasks.mail.enqueue("ada", when="today")
    with tasks_in(redis_url, queues=["default"]) as later:
        assert later.get_result(result.id).task == tasks.mail
        monkeypatch.delattr(tasks, "mail")
        monkeypatch.setattr(declared, "_declared", {})
        found = later.get_result(result.id)
    assert found.task.module_path == result.task.module_path
    with pytest.raises(LookupError, match="the code has no task"):
        found.task.call()


def test_a_task_that_waits_longer_than_results_are_kept_is_looked_for(
    redis_url: str, redis: Redis
) -> None:
    from fluxqueue.django.framework import TaskResultDoesNotExist
    from support.django_site.parcels import tasks

    with tasks_in(redis_url, RESULT_TTL=0.01) as backend:
        result = tasks.add.enqueue(1, 2)
        wait_until(
            lambda: (
                datetime.now(result.enqueued_at.tzinfo)
                > result.enqueued_at + timedelta(seconds=0.02)
            )
        )
        assert backend.get_result(result.id).status == "READY"
        # Its outcome could have expired by now.
        redis.delete(key("prioritized", "default"), key("pending", "default"))
        with pytest.raises(TaskResultDoesNotExist):
            backend.get_result(result.id)


def test_without_results_nothing_but_the_message_is_written(redis_url: str, redis: Redis) -> None:
    from support.django_site.parcels import tasks

    with tasks_in(redis_url, RESULT_TTL=None) as backend:
        assert not backend.supports_get_result
        result = tasks.add.enqueue(1, 2)
        with pytest.raises(NotImplementedError):
            backend.get_result(result.id)
    [message] = waiting(redis)
    assert message["id"] == result.id and redis.keys("*django*") == []


def test_all_threads_and_asyncio_tasks_share_a_client(tasks: Any, redis: Redis) -> None:
    from fluxqueue.django.framework import task_backends

    backends: list[Any] = []

    def enqueue() -> None:
        backends.append(task_backends["default"])
        tasks.add.enqueue(1, 2)

    async def gather() -> None:
        async def one() -> None:
            backends.append(task_backends["default"])
            await tasks.add.aenqueue(1, 2)

        await asyncio.gather(*(one() for _ in range(30)))

    asyncio.run(gather())
    database = str(redis.connection_pool.connection_kwargs["db"])
    connected = [each for each in redis.client_list() if each["db"] == database]
    threads = [threading.Thread(target=enqueue) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(backend) for backend in backends}) > 1
    assert len({id(backend.shared) for backend in backends}) == 1
    assert len(waiting(redis)) == 35
    # One of the test, one of the loop, and at most one for each thread that writes records.
    assert len(connected) <= 2 + 16


def test_new_settings_make_a_new_client(tasks: Any, backend: Any, redis_url: str) -> None:
    with tasks_in(redis_url, NAMESPACE="other") as changed:
        assert changed.shared is not backend.shared
        assert changed.shared.client.settings.namespace == "other"
    with tasks_in(redis_url) as same:
        assert same.shared is backend.shared
    backend.close()
    assert tasks.add.enqueue(1, 2).status == "READY"


def test_an_unreachable_redis_is_an_error_of_fluxqueue() -> None:
    from fluxqueue import BrokerUnavailable
    from support.django_site.parcels import tasks

    with tasks_in("redis://127.0.0.1:1", CLIENT={"timeout": 0.2}):
        with pytest.raises(BrokerUnavailable, match="record"):
            tasks.add.enqueue(1, 2)
        with pytest.raises(BrokerUnavailable):
            asyncio.run(tasks.add.aenqueue(1, 2))
    with (
        tasks_in("redis://127.0.0.1:1", CLIENT={"timeout": 0.2}, RESULT_TTL=None),
        pytest.raises(BrokerUnavailable),
    ):
        tasks.add.enqueue(1, 2)


def test_a_connection_that_redis_has_closed_is_made_again(tasks: Any, redis: Redis) -> None:
    tasks.add.enqueue(1, 2)
    for client in redis.client_list():
        if client["name"] == "fluxqueue-django":
            redis.client_kill(client["addr"])
    assert tasks.add.enqueue(1, 2).status == "READY"
