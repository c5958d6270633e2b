"""Which of many queues the scheduler asks for due tasks."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_control.redis_client import Packed
from fluxqueue_core import key
from fluxqueue_scheduler.idle_queues import FEW, GROUP, SELDOM_EVERY, IdleQueues
from redis.exceptions import ResponseError

NAMES = tuple(f"q{i:03}" for i in range(250))


class FakeClient:
    """Knows the queues with a delayed task."""

    def __init__(self, *delaying: str) -> None:
        self.delaying = {key("delayed", name).encode() for name in delaying}
        self.asked: list[int] = []
        self.refuses = False

    def key(self, kind: str, queue: str) -> str:
        return key(kind, queue)

    def send(self, packed: Packed) -> list[Any]:
        commands = [part.split(b"\r\n")[2::2] for part in packed.bytes.split(b"*")[1:]]
        assert len(commands) == packed.count and all(words[0] == b"EXISTS" for words in commands)
        self.asked = [len(words) - 1 for words in commands]
        if self.refuses:
            return [ResponseError("NOPERM") for _ in commands]
        return [len(self.delaying.intersection(words)) for words in commands]


def idle_queues(client: FakeClient) -> IdleQueues:
    any_client: Any = client
    return IdleQueues(any_client)


def test_few_queues_are_all_asked_and_cost_no_question() -> None:
    client = FakeClient()
    assert idle_queues(client).others(NAMES[:FEW]) == NAMES[:FEW]
    assert client.asked == []


def test_many_idle_queues_cost_one_command_for_each_hundred() -> None:
    client = FakeClient()
    assert list(idle_queues(client).others(NAMES)) == []
    # Two keys of each queue.
    assert client.asked == [2 * GROUP, 2 * GROUP, 2 * 50]


def test_a_group_with_a_delayed_task_is_asked_and_then_that_queue_alone() -> None:
    client = FakeClient("q120")
    idle = idle_queues(client)
    assert idle.others(NAMES) == list(NAMES[100:200])
    for name in NAMES[100:200]:
        idle.saw(name, is_empty=name != "q120")
    assert idle.others(NAMES) == ["q120"]
    assert sum(client.asked) == 2 * 249
    # Its set is empty now.
    client.delaying.clear()
    idle.saw("q120", is_empty=True)
    assert list(idle.others(NAMES)) == []
    assert sum(client.asked) == 2 * 250


def test_a_queue_that_is_gone_is_not_asked() -> None:
    client = FakeClient("q120")
    idle = idle_queues(client)
    idle.saw("q120", is_empty=False)
    assert idle.others(NAMES) == ["q120"]
    others = tuple(name for name in NAMES if name != "q120")
    assert list(idle.others(others)) == []


@pytest.mark.parametrize("kind", ["prioritized", "periodic"])
def test_a_queue_with_only_a_priority_or_a_periodic_task_is_asked_now_and_then(kind: str) -> None:
    client = FakeClient()
    client.delaying = {key(kind, "q120").encode()}
    idle = idle_queues(client)
    asked = [list(idle.others(NAMES)) for _ in range(2 * SELDOM_EVERY)]
    found = [at for at, names in enumerate(asked, 1) if names]
    assert found == [SELDOM_EVERY, 2 * SELDOM_EVERY]
    assert asked[SELDOM_EVERY - 1] == list(NAMES[100:200])


def test_if_redis_refuses_the_question_each_queue_is_asked() -> None:
    client = FakeClient()
    client.refuses = True
    assert idle_queues(client).others(NAMES) == list(NAMES)
