"""Which thread of a process listens for results: one that waits, or the listener's own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fluxqueue import FluxQueue, ResultTimeout
from fluxqueue.waiting import listener
from fluxqueue_core import new_task_id
from redis import Redis
from support.outcomes import store
from support.waiting import wait_until


def wakes_of_the_listener() -> int:
    """How often the listener's own thread has slept."""
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().startswith("fluxqueue-resul"):
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    return int(line.split()[1])
    raise AssertionError("there is no such thread")


def test_a_thread_that_waits_for_one_result_after_another_wakes_no_other(
    redis: Redis, client: FluxQueue
) -> None:
    handles = [client.handle(new_task_id()) for _ in range(201)]
    for handle in handles:
        store(redis, handle.id, "7")
    assert handles[0].result(60) == 7
    before = wakes_of_the_listener()
    for handle in handles[1:]:
        assert handle.result(60) == 7
    # On a busy machine the thread that waits may come back too late, now and then.
    assert wakes_of_the_listener() - before < 100


@pytest.mark.parametrize("ends", ["late", "result"])
def test_when_the_thread_that_listens_goes_the_others_get_their_results(
    redis: Redis, client: FluxQueue, ends: str
) -> None:
    first, second, third = (client.handle(new_task_id()) for _ in range(3))
    waits = listener(client.settings)
    with ThreadPoolExecutor() as threads:
        listens = threads.submit(first.result, 60 if ends == "result" else 0.5)
        wait_until(lambda: waits.waits == 1)
        waiting = threads.submit(second.result, 60)
        on_a_loop = threads.submit(lambda: asyncio.run(third.result_async(60)))
        wait_until(lambda: waits.waits == 3 or listens.done())
        if ends == "result":
            store(redis, first.id, "1")
            assert listens.result(60) == 1
        else:
            with pytest.raises(ResultTimeout):
                listens.result(60)
        store(redis, second.id, "2")
        store(redis, third.id, "3")
        assert (waiting.result(60), on_a_loop.result(60)) == (2, 3)
    wait_until(lambda: not redis.pubsub_channels("fluxqueue:*"))
    assert waits.waits == 0


def test_many_threads_wait_at_once_and_one_after_another(redis: Redis, client: FluxQueue) -> None:
    handles = [client.handle(new_task_id()) for _ in range(400)]
    begun = threading.Barrier(9)

    def wait_for(some: list[int]) -> list[object]:
        begun.wait(60)
        return [handles[number].result(60) for number in some]

    with ThreadPoolExecutor(8) as threads:
        parts = [list(range(start, 400, 8)) for start in range(8)]
        found = [threads.submit(wait_for, part) for part in parts]
        begun.wait(60)
        for number, handle in enumerate(handles):
            store(redis, handle.id, str(number))
        assert [each.result(60) for each in found] == parts
    wait_until(lambda: not redis.pubsub_channels("fluxqueue:*"))
