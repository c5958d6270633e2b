"""Commands that are packed once and sent often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue_control.errors import UNAVAILABLE
from fluxqueue_control.redis_client import Packed, RedisClient, ScriptCall, packed_words
from fluxqueue_core import Settings, key
from redis.exceptions import ResponseError
from support.waiting import wait_until


def test_packed_commands_are_answered_in_order_as_often_as_they_are_sent(
    redis_url: str, redis: Any
) -> None:
    redis.set("text", "é")
    client = RedisClient(Settings(redis_url), 5.0)
    packed = Packed.of([("EXISTS", "text", "none", "text"), ("LLEN", "text"), ("GET", "text")])
    try:
        for _ in range(3):
            exists, error, text = client.send(packed)
            assert (exists, text) == (2, "é".encode())
            assert isinstance(error, ResponseError) and "WRONGTYPE" in str(error)
        assert client.command("EXISTS", "text") == 1
        names = [c for c in redis.client_list() if c["name"] == "fluxqueue-control"]
        assert len(names) == 1, "all of it on one connection"
    finally:
        client.close()
        redis.delete("text")


@pytest.mark.parametrize("place", ["127.0.0.1:1", "someone:wrong@127.0.0.1:{port}"])
def test_a_server_out_of_reach_is_unavailable(redis: Any, place: str) -> None:
    port = redis.connection_pool.connection_kwargs["port"]
    client = RedisClient(Settings(f"redis://{place.format(port=port)}"), 5.0)
    with pytest.raises(UNAVAILABLE):
        client.send(Packed.of([("PING",)]))
    client.close()


def calls(count: int) -> Iterator[tuple[ScriptCall, Packed]]:
    """Calls of `schedule` that pause a periodic task that is not there."""
    for number in range(count):
        yield ScriptCall("schedule", "q", ("pause",)), Packed(packed_words((f"{number}",)), 1)


def test_a_call_is_sent_before_the_next_one_is_made(redis_url: str, redis: Any) -> None:
    client = RedisClient(Settings(redis_url), 5.0)
    name = key("periodic:due", "q")
    redis.hset(key("periodic", "q"), "0", "d" * 25 + "0")
    redis.zadd(name, {"0": 1})

    def watched() -> Iterator[tuple[ScriptCall, Packed]]:
        first, second = calls(2)
        yield first
        wait_until(lambda: redis.zcard(name) == 0, what="the first call")
        yield second

    try:
        client.call(ScriptCall("schedule", "q", ("pause", "a")))
        assert client.packed_calls(watched()) == [[b"paused"], [b"absent"]]
    finally:
        client.close()


def test_an_error_between_two_calls_leaves_no_reply_for_another_command(redis_url: str) -> None:
    client = RedisClient(Settings(redis_url), 5.0)
    client.call(ScriptCall("schedule", "q", ("pause", "a")))

    def broken() -> Iterator[tuple[ScriptCall, Packed]]:
        yield from calls(2)
        raise ZeroDivisionError

    try:
        with pytest.raises(ZeroDivisionError):
            client.packed_calls(broken())
        assert client.command("ECHO", "text") == b"text"
    finally:
        client.close()
