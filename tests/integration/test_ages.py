"""How long the oldest task of a queue has waited."""

from __future__ import annotations

import pytest
from fluxqueue_control import ages
from fluxqueue_control.redis_client import RedisClient
from support.scripts import Scripts

pytestmark = pytest.mark.versions


def message(ms: int, more: str = "", opts: str = "") -> bytes:
    """A message that was enqueued at this time."""
    head = f'{{"v":{2 if opts else 1},"id":"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7000-8000-{0:012x}"'
    middle = f',"opts":{opts}' if opts else ""
    return f'{head}{middle},"name":"n","args":[{{"a":1,"due":5}}]{more}}}'.encode()


def oldest(control: RedisClient) -> float | None:
    return ages.read_oldest(control, ["other", "q"])["q"]


def is_about(found: float | None, seconds: float) -> bool:
    return found is not None and seconds <= found < seconds + 60


def test_an_empty_queue_has_no_age(control: RedisClient) -> None:
    assert ages.read_oldest(control, ["q"]) == {"q": None}
    assert ages.read_oldest(control, []) == {}


def test_the_oldest_of_all_places_counts(scripts: Scripts, control: RedisClient) -> None:
    now = scripts.now()
    scripts.enqueue(message(now - 100_000), message(now - 50_000))
    assert is_about(oldest(control), 100)
    scripts.redis.rpush(scripts.key("suspects"), message(now - 200_000))
    assert is_about(oldest(control), 200)
    scripts.redis.zadd(scripts.key("prioritized"), {message(now - 300_000): 1})
    assert is_about(oldest(control), 300)
    # A message with a priority is at the head, in front of an older one.
    scripts.redis.rpush(scripts.key("pending"), message(now - 400_000), message(now - 10_000))
    assert is_about(oldest(control), 400)


def test_a_delayed_task_counts_from_when_it_was_due(scripts: Scripts, control: RedisClient) -> None:
    now = scripts.now()
    scripts.enqueue(message(now - 500_000, f',"due":{now - 100_000}'))
    assert is_about(oldest(control), 100)


def test_a_chosen_id_counts_from_the_call(scripts: Scripts, control: RedisClient) -> None:
    now = scripts.now()
    own = b'{"v":1,"id":"9b2f1c1e-0000-4000-8000-000000000000","name":"n","args":[]%s}'
    scripts.enqueue(own % b"")
    assert oldest(control) is None
    scripts.enqueue(own % b',"enqueued_at":%d' % (now - 100_000))
    assert is_about(oldest(control), 100)


def test_the_lines_of_limits_count(scripts: Scripts, control: RedisClient) -> None:
    now = scripts.now()
    digest = "1" * 32
    waiting = [message(now - 100_000 + n, opts=f'{{"l":"{digest}:1:0:1"}}') for n in range(3)]
    assert scripts.enqueue_unique(*(("+0 limit 1 n", each) for each in waiting)) == [None] * 3
    scripts.open("c")
    assert len(scripts.exchange("c", 10).claimed) == 1
    assert is_about(oldest(control), 99)


@pytest.mark.parametrize("garbage", [b"", b"x", b"\xff" * 200, b'{"v":1,"id":"' + b"z" * 99])
def test_garbage_has_no_age(scripts: Scripts, control: RedisClient, garbage: bytes) -> None:
    scripts.enqueue(garbage)
    assert oldest(control) is None


def test_a_key_of_another_type_hides_only_itself(scripts: Scripts, control: RedisClient) -> None:
    scripts.redis.set(scripts.key("suspects"), "garbage")
    scripts.enqueue(message(scripts.now() - 100_000))
    assert is_about(oldest(control), 100)
