"""Every kind of URL, from the call to the run: client, worker and scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from redis import Redis
from support.system import System
from support.tls_proxy import AUTHORITY, LOCALHOST, TlsProxy

APP = """
@fluxqueue.task_with_context(retry_delay=0.05)
def fails_once(ctx: Context, number):
    if ctx.metadata.retries == 0:
        raise ValueError("once")
    with ledger.run(number):
        pass
"""
KINDS = ["a socket file", "user and password", "TLS", "TLS with a client's certificate"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis with a socket file and its own user."""
    # Short: the path of a socket may have 107 bytes.
    path = tmp_path_factory.mktemp("s") / "re dis"
    with EmbeddedRedis(appendfsync="no", options={"unixsocket": str(path)}) as server:
        with Redis.from_url(server.url) as admin:
            admin.acl_setuser(
                "us@er",
                enabled=True,
                passwords=["+p/w:%?"],
                keys=["*"],
                channels=["*"],
                commands=["+@all"],
            )
        yield server


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, server: EmbeddedRedis) -> Iterator[str]:
    """Database 3 by each way."""
    tls = f"?ssl_ca_certs={AUTHORITY}"
    both = f"{tls}&ssl_certfile={LOCALHOST}&ssl_keyfile={LOCALHOST}"
    with Redis.from_url(f"{server.url}/3") as client:
        client.flushdb()
        path = client.config_get("unixsocket")["unixsocket"].replace(" ", "%20")
    if request.param == "a socket file":
        yield f"unix://{path}?db=3"
    elif request.param == "user and password":
        yield f"redis://us%40er:p%2Fw%3A%25%3F@127.0.0.1:{server.port}/3"
    else:
        asks = request.param != "TLS"
        with TlsProxy(server.port, asks_for_certificate=asks) as proxy:
            yield f"rediss://us%40er:p%2Fw%3A%25%3F@localhost:{proxy.port}/3{both if asks else tls}"


def test_a_task_runs_and_is_tried_again(tmp_path: Path, url: str) -> None:
    with System(tmp_path, url, APP) as system:
        system.start_scheduler()
        worker = system.start_worker()
        system.enqueue("fails_once", range(20))
        system.wait_until_ended(range(20))
        system.wait_until_settled()
        assert system.stats() == {"retried": 20, "succeeded": 20}
        assert worker.stop() == 0


def test_every_way_of_calling(server: EmbeddedRedis, url: str) -> None:
    """With messages that are larger than what a socket or a TLS record takes."""
    app = FluxQueue(url)

    @app.task()
    def work(text: str) -> None: ...

    @app.task()
    async def async_work(text: str) -> None: ...

    async def main() -> None:
        await asyncio.gather(*(async_work("x" * 20_000) for _ in range(50)))
        assert await async_work.enqueue_many_async([("x" * 2_000,)] * 1_500) == 1_500

    work("x" * 1_000_000)
    assert work.enqueue_many([("x" * 2_000,)] * 1_500) == 1_500
    asyncio.run(main())
    with Redis.from_url(f"{server.url}/3") as client:
        assert client.llen("fluxqueue:{default}:pending") == 1 + 50 + 2 * 1_500


@pytest.mark.parametrize(
    ("host", "query", "said"),
    [
        ("localhost", "", "UnknownIssuer"),
        ("127.0.0.1", f"?ssl_ca_certs={AUTHORITY}", "not valid for name"),
    ],
)
def test_a_certificate_that_can_not_be_trusted_is_refused(
    server: EmbeddedRedis, host: str, query: str, said: Any
) -> None:
    with TlsProxy(server.port) as proxy:
        app = FluxQueue(f"rediss://{host}:{proxy.port}{query}", timeout=2)

        @app.task()
        def work() -> None: ...

        with pytest.raises(BrokerUnavailable, match=said):
            work()
