"""A caller looks once at the outcome of a task, or at anything else that is in its place."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fluxqueue import (
    BrokerError,
    FluxQueue,
    ResultError,
    ResultTimeout,
    TaskHandle,
    gather_results,
    gather_results_sync,
)
from fluxqueue.waiting import listener
from fluxqueue_core import key, new_task_id
from redis import Redis
from support.outcomes import store
from support.waiting import wait_until

Look = Callable[[TaskHandle[Any]], Any]

LOOKS: dict[str, Look] = {
    "result": lambda handle: handle.result(timeout=0),
    "result_async": lambda handle: asyncio.run(handle.result_async(timeout=0)),
    "gather_results": lambda handle: asyncio.run(gather_results([handle], 0))[0],
    "gather_results_sync": lambda handle: gather_results_sync([handle], 0)[0],
}
REPORT = b'{"progress":{"done":1,"total":2,"note":"","at":1764430000007}}'


async def first_report(handle: TaskHandle[Any]) -> object:
    async with asyncio.timeout(30):
        async for progress in handle.watch():
            return progress
    return None


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_timeout_of_0_looks_once(redis: Redis, client: FluxQueue, look: Look) -> None:
    handle = client.handle(new_task_id())
    place = key("result", "default", handle.id)
    with pytest.raises(ResultTimeout, match="within 0 s"):
        look(handle)
    redis.set(place, REPORT)
    with pytest.raises(ResultTimeout, match="within 0 s"):
        look(handle)
    store(redis, handle.id, "7")
    assert look(handle) == 7
    assert listener(client.settings).waits == 0


@pytest.mark.parametrize(
    "kept",
    [
        b"text",
        b"\xff",
        b"[]",
        b"null",
        b'{"value":1}',
        b'{"state":"succeeded"}',
        b'{"state":"failed","error":5}',
        b'{"state":"failed","attempts":"many"}',
        b'{"state":"failed","error":{"type":5,"text":[1]}}',
    ],
)
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_other_text_in_place_of_an_outcome_is_an_error_with_the_id(
    redis: Redis, client: FluxQueue, look: Look, kept: bytes
) -> None:
    handle = client.handle(new_task_id())
    redis.set(key("result", "default", handle.id), kept)
    with pytest.raises(ResultError, match=f"task {handle.id} .* can't be read") as caught:
        look(handle)
    assert (caught.value.task_id, caught.value.queue) == (handle.id, "default")


def test_a_key_of_another_type_is_an_error_and_ends_no_other_wait(
    redis: Redis, client: FluxQueue
) -> None:
    handle, other = client.handle(new_task_id()), client.handle(new_task_id())
    redis.rpush(key("result", "default", handle.id), "text")
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(other.result()), daemon=True)
    thread.start()
    # On its own: one question for both would not say which key is wrong.
    wait_until(lambda: bool(redis.pubsub_channels(f"*:done:{other.id}")))
    looks: list[Callable[[], Any]] = [
        handle.status,
        handle.progress,
        lambda: handle.result(timeout=30),
        *(partial(look, handle) for look in LOOKS.values()),
    ]
    for look in looks:
        with pytest.raises(BrokerError, match=r"WRONGTYPE .* another program uses a key"):
            look()
    store(redis, other.id, "7")
    thread.join(30)
    assert got == [7]
    for each in (handle, other):
        wait_until(partial(lambda each: not redis.pubsub_channels(f"*:done:{each.id}"), each))


def test_a_status_of_something_else_is_an_error(redis: Redis, client: FluxQueue) -> None:
    handle = client.handle(new_task_id())
    redis.set(key("result", "default", handle.id), b"text")
    for look in (handle.status, lambda: asyncio.run(handle.status_async())):
        with pytest.raises(ResultError, match="can't be read"):
            look()


def test_an_event_loop_reads_a_status(redis: Redis, client: FluxQueue) -> None:
    handle = client.handle(new_task_id())
    assert asyncio.run(handle.status_async()) == "unfinished"
    store(redis, handle.id, "7")
    assert asyncio.run(handle.status_async()) == "succeeded"


@pytest.mark.parametrize(
    "kept",
    [
        b'{"progress":',
        b'{"progress":5}',
        b'{"progress":{"done":1}}',
        b'{"progress":{"done":1,"total":1,"note":"","at":"now"}}',
        b'{"progress":{"done":1,"total":1,"note":"","at":1e30}}',
    ],
)
def test_other_text_in_place_of_a_report_is_an_error_with_the_id(
    redis: Redis, client: FluxQueue, kept: bytes
) -> None:
    handle = client.handle(new_task_id())
    redis.set(key("result", "default", handle.id), kept)
    looks: list[Callable[[], Any]] = [
        handle.progress,
        lambda: asyncio.run(handle.progress_async()),
        lambda: asyncio.run(first_report(handle)),
    ]
    for look in looks:
        with pytest.raises(ResultError, match=f"task {handle.id} .* can't be read"):
            look()
