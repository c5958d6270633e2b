"""`rediss://`: a Redis behind TLS.

The certificate in tests/support/tls is for localhost, self-signed and valid for a
hundred years. Its key is public.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fluxqueue.embedded import EmbeddedRedis, RedisNotFound, RedisNotStarted
from fluxqueue_core import Producer, Route, Settings, key
from fluxqueue_core.errors import BrokerUnavailable
from redis import Redis
from support.ports import free_port

FOLDER = Path(__file__).parents[1] / "support" / "tls"
CERTIFICATE = FOLDER / "localhost.pem"
ROUTE = Route("q", "task")


@pytest.fixture(scope="module")
def tls_server() -> Iterator[tuple[int, Redis]]:
    """The port that speaks TLS, and a client of the other one."""
    port = free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(CERTIFICATE),
        "tls-key-file": str(FOLDER / "localhost.key"),
        "tls-ca-cert-file": str(CERTIFICATE),
        "tls-auth-clients": "no",
    }
    server = EmbeddedRedis(appendfsync="no", options=options)
    try:
        server.start()
    except (RedisNotFound, RedisNotStarted) as error:
        if os.environ.get("CI") == "true":
            raise  # in CI a skipped test would go unnoticed
        pytest.skip(f"no Redis with TLS: {error}")
    with server, Redis.from_url(server.url) as client:
        yield port, client


def url(port: int, host: str = "localhost") -> str:
    return f"rediss://{host}:{port}?ssl_ca_certs={CERTIFICATE}"


def test_every_way_to_enqueue(tls_server: tuple[int, Redis]) -> None:
    port, redis = tls_server
    redis.flushall()
    sender = Producer(Settings(url(port)))

    async def main() -> None:
        for _ in range(20):
            await asyncio.gather(*(sender.enqueue_async(ROUTE, (1,), {}) for _ in range(100)))
        # More than the buffers of the socket and of TLS take at once.
        large = "x" * 1_000_000
        await asyncio.gather(*(sender.enqueue_async(ROUTE, (large,), {}) for _ in range(30)))

    for _ in range(100):
        sender.enqueue(ROUTE, (2,), {})
    opened = redis.info("stats")["total_connections_received"]
    asyncio.run(main())
    calls = ((n,) for n in range(10_000, 20_000))
    assert sender.enqueue_many(ROUTE, calls, lambda *_: None) == 10_000
    assert redis.info("stats")["total_connections_received"] == opened + 1
    found = redis.lrange(key("pending", "q"), 0, -1)
    assert isinstance(found, list)
    sent = [json.loads(message)["args"][0] for message in found[::-1]]
    assert sent[:100] == [2] * 100
    assert sent[100:2100] == [1] * 2000
    assert sent[2130:] == list(range(10_000, 20_000))


def test_a_certificate_that_is_not_trusted(tls_server: tuple[int, Redis]) -> None:
    port, _ = tls_server
    for wrong in (f"rediss://localhost:{port}", url(port, "127.0.0.1")):
        sender = Producer(Settings(wrong, timeout=2))
        with pytest.raises(BrokerUnavailable, match="invalid peer certificate"):
            sender.enqueue(ROUTE, (), {})


def test_a_server_without_tls(redis_url: str) -> None:
    sender = Producer(Settings(f"rediss://{redis_url.partition('://')[2]}", timeout=0.3))
    with pytest.raises(BrokerUnavailable):
        sender.enqueue(ROUTE, (), {})
