"""ENQUEUE_ON_COMMIT: a task is enqueued when the transaction of its database is committed."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import key
from redis import Redis
from support.django_process import tasks_in, variables


@pytest.fixture
def tasks(redis_url: str) -> Iterator[Any]:
    with tasks_in(redis_url, ENQUEUE_ON_COMMIT="other"):
        from support.django_site.parcels import tasks

        yield tasks


def waiting(redis: Redis) -> int:
    kinds: Any = redis.llen(key("pending", "default")), redis.zcard(key("prioritized", "default"))
    return sum(kinds)


def test_a_call_waits_for_the_commit_of_its_database(tasks: Any, redis: Redis) -> None:
    from django.db import transaction
    from fluxqueue.django.framework import TaskResultDoesNotExist

    with transaction.atomic("default"), transaction.atomic("other"):
        result = tasks.add.enqueue(1, 2)
        with transaction.atomic("other"):
            tasks.add.enqueue(3, 4)
        assert (result.status, result.enqueued_at, waiting(redis)) == ("READY", None, 0)
        with pytest.raises(TaskResultDoesNotExist):
            result.refresh()
    assert waiting(redis) == 2 and result.enqueued_at is not None
    assert tasks.add.get_result(result.id) == result


def test_a_rolled_back_transaction_enqueues_nothing(tasks: Any, redis: Redis) -> None:
    from django.db import transaction

    with transaction.atomic("other"):
        tasks.add.enqueue(1, 2)
        transaction.set_rollback(True, "other")
    assert waiting(redis) == 0 and redis.keys("*") == []


def test_a_transaction_of_another_database_does_not_matter(tasks: Any, redis: Redis) -> None:
    from django.db import transaction

    with transaction.atomic("default"):
        assert tasks.add.enqueue(1, 2).enqueued_at is not None
        assert waiting(redis) == 1


def test_an_async_call_waits_too(tasks: Any, redis: Redis) -> None:
    from asgiref.sync import async_to_sync, sync_to_async
    from django.db import connections, transaction

    async def view() -> Any:
        return await tasks.add.aenqueue(1, 2)

    with transaction.atomic("other"):
        result = async_to_sync(view)()
        assert (result.enqueued_at, waiting(redis)) == (None, 0)
    assert waiting(redis) == 1

    async def outside() -> Any:
        result = await view()
        await sync_to_async(connections.close_all)()  # of its thread
        return result

    assert asyncio.run(outside()).enqueued_at is not None


def test_by_default_a_call_does_not_wait(redis_url: str, redis: Redis) -> None:
    from django.db import transaction
    from support.django_site.parcels import tasks

    with tasks_in(redis_url), transaction.atomic():
        assert tasks.add.enqueue(1, 2).enqueued_at is not None
        assert waiting(redis) == 1


CRASH = """
import os, signal
import django
django.setup()
from django.db import connection, transaction
from django.test import override_settings
from support.django_site import settings
from support.django_site.parcels.tasks import add

options = {"ENQUEUE_ON_COMMIT": "default"}
with override_settings(TASKS={"default": {"BACKEND": settings.BACKEND, "OPTIONS": options}}):
    with connection.cursor() as cursor:
        cursor.execute("create table paid (id integer)")
    with transaction.atomic():
        connection.cursor().execute("insert into paid values (1)")
        # Runs before the callback of the call, just after the commit.
        transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        add.enqueue(1, 2)
"""


def test_a_crash_after_the_commit_loses_the_call(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    """docs/django.md says so."""
    environment = {**os.environ, **variables(tmp_path), "FLUXQUEUE_REDIS_URL": redis_url}
    done = subprocess.run([sys.executable, "-c", CRASH], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(tmp_path / "default.sqlite3")) as database:
        assert database.execute("select id from paid").fetchall() == [(1,)]
    assert waiting(redis) == 0
