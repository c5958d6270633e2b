"""The locks of unique tasks, found by a bounded scan."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control import locks
from fluxqueue_control.aio import locks as aio_locks
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import key
from support.operator_commands import objects, run
from support.scripts import Scripts

pytestmark = pytest.mark.versions


def test_a_lock_says_which_task_holds_it_since_when_and_until_when(
    client: FluxQueue, control: RedisClient, scripts: Scripts
) -> None:
    sync = client.task(name="sync", queue="q", unique=True, unique_ttl=600)(lambda account: None)
    index = client.task(name="index", queue="q", unique=True, debounce=60, max_wait=90)(
        lambda document: None
    )
    since = scripts.now() / 1_000
    held, delayed = sync.enqueue(7), index.enqueue(1)
    found = {each.task_id: each for each in locks.read_page(control, "q").locks}
    assert found.keys() == {held.id, delayed.id}
    lock = found[held.id]
    assert lock.text.startswith("sync") and "7" in lock.text
    assert lock.since is not None and lock.since >= since - 0.001
    assert lock.left is not None and 0 < lock.left <= 600
    assert (lock.is_replaceable, found[delayed.id].is_replaceable) == (False, True)
    shown = locks.show(control, "q", lock.digest)
    assert shown is not None and (shown.task_id, shown.since) == (held.id, lock.since)
    assert held.cancel() == "cancelled"
    assert locks.show(control, "q", lock.digest) is None


def test_only_the_locks_of_the_queue_are_found(
    client: FluxQueue, control: RedisClient, redis: Any
) -> None:
    others = client.task(name="t", queue="q2", unique=True)(lambda number: None)
    others.enqueue(1)
    client.task(name="t", queue="q", result_ttl=60)(lambda: None).enqueue()
    redis.hset(key("claimed", "q", "unique:x"), "field", "message")
    assert locks.read_page(control, "q").locks == []
    redis.delete(key("claimed", "q", "unique:x"))


def test_pages_have_each_lock_and_say_how_far_they_got(
    client: FluxQueue, control: RedisClient, redis: Any
) -> None:
    task = client.task(name="t", queue="q", unique=True)(lambda number: None)
    ids = {task.enqueue(number).id for number in range(30)}
    redis.mset({f"another:{number}": 1 for number in range(5_000)})
    found, pages, looked, cursor = set(), 0, 0, None
    while True:
        page = locks.read_page(control, "q", cursor, most=1_000)
        assert page.looked == 1_000
        found |= {lock.task_id for lock in page.locks}
        pages, looked, cursor = pages + 1, looked + page.looked, page.cursor
        if cursor is None:
            break
    assert found == ids and pages >= 5 and looked >= 5_000
    whole = locks.read_page(control, "q", limit=1_000)
    assert {lock.task_id for lock in whole.locks} == ids and whole.cursor is None
    redis.delete(*(f"another:{number}" for number in range(5_000)))


@pytest.mark.parametrize(
    "parts", [{"cursor": "x"}, {"cursor": "-1"}, {"limit": 0}, {"most": 0}, {"cursor": "1" * 30}]
)
def test_a_wrong_page_is_refused(control: RedisClient, parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cursor of locks|give 1 or more"):
        locks.read_page(control, "q", **parts)


def test_an_event_loop_reads_them_too(client: FluxQueue, control: RedisClient) -> None:
    held = client.task(name="t", queue="q", unique=True)(lambda: None).enqueue()

    async def main() -> list[str]:
        page = await aio_locks.read_page(control, "q")
        shown = await aio_locks.show(control, "q", page.locks[0].digest)
        assert shown is not None
        return [shown.task_id]

    assert asyncio.run(main()) == [held.id]


def test_the_command_prints_the_locks_and_how_far_it_got(client: FluxQueue, redis_url: str) -> None:
    held = client.task(name="t", queue="q", unique=True)(lambda number: None).enqueue(7)
    found, last = objects(redis_url, "locks", "-q", "q")
    assert (found["task_id"], found["queue"]) == (held.id, "q")
    assert last == {"queue": "q", "looked": 1_000, "cursor": None}
    table = run(redis_url, "locks", "-q", "q")[0].splitlines()
    assert len(table) == 2 and table[1].startswith(held.id)
    assert "is not a cursor" in run(redis_url, "locks", "--cursor", "x", code=2)[1]
