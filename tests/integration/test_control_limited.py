"""An operator finds, deletes and purges tasks that wait in the line of their limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue import FluxQueue, TaskCancelled, TaskHandle
from fluxqueue_control import purge, queues, tasks
from fluxqueue_control.redis_client import RedisClient

pytestmark = pytest.mark.versions

CALLS = [(f"tenant {number % 3}", number) for number in range(30)]


@pytest.fixture
def handles(redis_url: str) -> Iterator[list[TaskHandle[Any]]]:
    """The tasks of three tenants: of each one may run, and the other nine wait in a line."""
    app = FluxQueue(redis_url)

    @app.task(concurrency=1, limit_key="tenant", result_ttl=60)
    def work(tenant: str, number: int) -> None: ...

    yield work.enqueue_each(CALLS)
    app.close()


def test_a_task_in_a_line_is_found_and_deleted(
    control: RedisClient, redis: Any, handles: list[TaskHandle[Any]]
) -> None:
    first, second, third = (tasks.find(control, "default", handles[n].id).task for n in (0, 3, 6))
    assert first is not None and second is not None and third is not None
    assert (first.state, second.state, third.state) == ("pending", "limited", "limited")
    assert (second.ahead, third.ahead, second.limit) == (0, 1, third.limit)
    assert tasks.delete(control, "default", handles[3].id) == "deleted"
    assert tasks.delete(control, "default", handles[3].id) == "absent"
    with pytest.raises(TaskCancelled, match="an operator has deleted the task"):
        handles[3].result(timeout=5)
    # The end of the one with the place admits the next one, which was the third.
    assert tasks.delete(control, "default", handles[0].id) == "deleted"
    found = tasks.find(control, "default", handles[6].id).task
    assert found is not None and found.state == "pending"
    assert queues.read_lengths(control, ["default"])["default"].pending == 28


def test_a_purge_empties_the_lines_and_leaves_nothing_behind(
    control: RedisClient, redis: Any, handles: list[TaskHandle[Any]]
) -> None:
    assert purge.count(control, "default", "waiting") == len(CALLS)
    assert list(purge.purge(control, "default", "waiting"))[-1] == len(CALLS)
    assert purge.count(control, "default", "waiting") == 0
    for handle in handles:
        with pytest.raises(TaskCancelled):
            handle.result(timeout=5)
    assert redis.keys("fluxqueue:{default}:limit*") == []
    assert queues.read_lengths(control, ["default"])["default"].pending == 0
