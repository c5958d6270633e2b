"""Commands that are packed once and sent often."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_control.errors import UNAVAILABLE
from fluxqueue_control.redis_client import Packed, RedisClient
from fluxqueue_core import Settings
from redis.exceptions import ResponseError


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
