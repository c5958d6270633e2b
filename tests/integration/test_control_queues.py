"""The names of the queues, and how many tasks each has."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_control import queues, registry
from fluxqueue_control.queues import Lengths
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, key
from fluxqueue_core.errors import ConfigurationError
from redis.exceptions import ResponseError
from support.scripts import Scripts, message, messages

# Redis 6.2 and Valkey answer these commands too.
pytestmark = pytest.mark.versions


def test_the_registry_has_the_names_sorted(redis: Any, control: RedisClient) -> None:
    assert registry.read_names(control).names == ()
    redis.sadd(key("queues"), "b", "ünï", "a:b")
    found = registry.read_names(control)
    assert found.names == ("a:b", "b", "ünï") and found.refused == {}


def test_members_that_are_not_a_queues_name_come_with_a_reason(
    redis: Any, control: RedisClient
) -> None:
    redis.sadd(key("queues"), "good", "a}b", b"\xff", "")
    found = registry.read_names(control)
    assert found.names == ("good",)
    assert found.refused.keys() == {b"a}b", b"\xff", b""}
    assert "can't decode" in found.refused[b"\xff"]
    assert all(found.refused.values())


def test_a_queue_is_registered_once(redis: Any, control: RedisClient) -> None:
    assert registry.register(control, "q") is True
    assert registry.register(control, "q") is False
    assert redis.smembers(key("queues")) == {b"q"}


def test_a_registry_of_another_type_is_an_error(redis: Any, control: RedisClient) -> None:
    redis.set(key("queues"), "a string")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        registry.read_names(control)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        registry.register(control, "q")


def test_lengths_say_where_the_tasks_are(
    redis: Any, scripts: Scripts, control: RedisClient
) -> None:
    scripts.claim("first", *messages(range(2)))
    scripts.claim("second", *messages(range(2, 5)))
    scripts.open("", ["tombstone"])
    scripts.enqueue(*messages(range(5, 9)))
    redis.rpush(key("suspects", "q"), message(9, deliveries=2))
    redis.zadd(key("delayed", "q"), {message(n): 9e15 for n in range(10, 16)})
    redis.zadd(key("dead", "q"), {"entry": 1})
    redis.zadd(key("prioritized", "q"), {message(n): n for n in range(20, 23)})
    redis.hset(key("stats", "q"), "in_line", 1_000)  # for their limits
    assert queues.read_lengths(control, ["q", "empty"]) == {
        "q": Lengths(pending=1_007, suspects=1, delayed=6, claimed=5, dead=1),
        "empty": Lengths(pending=0, suspects=0, delayed=0, claimed=0, dead=0),
    }
    assert queues.read_lengths(control, []) == {}


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("pending", "pending"),
        ("prioritized", "pending"),
        ("stats", "pending"),
        ("suspects", "suspects"),
        ("delayed", "delayed"),
        ("consumers", "claimed"),
        ("dead", "dead"),
    ],
)
def test_a_key_of_another_type_has_no_length_and_hides_no_other(
    redis: Any, control: RedisClient, kind: str, missing: str
) -> None:
    redis.set(key(kind, "broken"), "a string")
    redis.rpush(key("pending", "q"), message(1))
    found = queues.read_lengths(control, ["broken", "q"])
    zero = dict.fromkeys(("pending", "suspects", "delayed", "claimed", "dead"), 0)
    assert found["broken"] == Lengths(**zero | {missing: None})
    assert found["q"] == Lengths(**zero | {"pending": 1})


class Counted(RedisClient):
    """Counts the round trips."""

    round_trips = 0

    def commands(self, commands: Any) -> list[Any]:
        batch = list(commands)
        assert len(batch) <= 700
        self.round_trips += 1
        return super().commands(batch)


def test_many_queues_and_workers_take_few_round_trips(redis: Any, redis_url: str) -> None:
    names = [f"q{n}" for n in range(250)]
    pipeline = redis.pipeline(transaction=False)
    for number, name in enumerate(names):
        pipeline.zadd(key("consumers", name), {"c": 9e15})
        for held in range(number % 3):
            pipeline.hset(key("claimed", name, "c"), f"f{held}", "m")
    pipeline.execute()
    client = Counted(Settings(redis_url), 5.0)
    found = queues.read_lengths(client, names)
    client.close()
    assert [found[name].claimed for name in names] == [number % 3 for number in range(250)]
    assert client.round_trips == 6, "one for each 100 queues, and one for their workers"


def test_a_name_that_is_not_valid_is_refused(control: RedisClient) -> None:
    with pytest.raises(ConfigurationError, match="queue name"):
        queues.read_lengths(control, ["a}b"])
