"""Fixtures for every test that needs a Redis.

The tests start one server per session (and per xdist worker). Each test gets an empty
database of that server.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fluxqueue.embedded import EmbeddedRedis
    from redis import Redis
    from support.redis_cluster import RedisCluster
    from support.redis_sentinel import RedisSentinel
    from support.telemetry import Recorded

# A shell that runs the tests in the background has them ignore Ctrl+C, and so
# would every process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DATABASES = 64
# Seconds. The default of redis-py, 5 s, is over before a busy machine has read 64 MiB.
SOCKET_TIMEOUT = 60.0
_numbers = itertools.count()


def pytest_configure() -> None:
    """Lets no property test fail because the machine is slow."""
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Keeps the thousands of collected tests out of the garbage collections of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """The session's server; do not stop or flush it, others use it as well."""
    from fluxqueue.embedded import EmbeddedRedis, RedisNotFound

    server = EmbeddedRedis(appendfsync="no", options={"databases": str(DATABASES)})
    try:
        server.start()
    except RedisNotFound as error:
        if os.environ.get("CI") == "true":
            raise  # a skipped test would go unnoticed there
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def lateness() -> None:
    """Measures from the beginning of the session how late the machine is."""
    from support.lateness import machine

    machine()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of an empty database. Numbers come round after 64 tests, so that
    what a test has left running does not write into the next one's."""
    from redis import Redis

    url = f"{redis_server.url}/{next(_numbers) % DATABASES}"
    with Redis.from_url(url, socket_timeout=SOCKET_TIMEOUT) as client:
        client.flushdb()
    return url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A redis-py client of the test's database, for assertions."""
    from redis import Redis

    with Redis.from_url(redis_url, socket_timeout=SOCKET_TIMEOUT) as client:
        yield client


@pytest.fixture
def redis_sentinel(tmp_path: Path) -> Iterator[RedisSentinel]:
    """A master, two replicas and three sentinels of the test's own."""
    from support.redis_sentinel import RedisSentinel

    with RedisSentinel(tmp_path / "redis-sentinel") as servers:
        yield servers


@pytest.fixture
def redis_cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """Three masters with a replica each, of the test's own."""
    from support.redis_cluster import RedisCluster

    with RedisCluster(tmp_path / "redis-cluster") as servers:
        yield servers


@pytest.fixture
def chance() -> random.Random:
    """The test's randomness. The seed is printed, and shown where a test fails;
    FLUXQUEUE_TEST_SEED sets it."""
    seed = int(os.environ.get("FLUXQUEUE_TEST_SEED") or int.from_bytes(os.urandom(4)))
    print(f"FLUXQUEUE_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def only_keys_of_the_protocol(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a key which the protocol does not know. (A `System`
    looks as well: it may be on a server of the test's own.)"""
    if "redis_url" not in request.fixturenames:
        yield
        return
    url: str = request.getfixturevalue("redis_url")
    yield
    from redis import Redis
    from support.keys import unknown_keys

    with Redis.from_url(url, socket_timeout=SOCKET_TIMEOUT) as client:
        unknown = unknown_keys(client)
    assert not unknown, f"keys that the protocol does not know: {unknown}"


@pytest.fixture(autouse=True)
def _no_span_around_the_test() -> Iterator[None]:
    """Starts each test without the context that a traced function has left attached in
    this thread."""
    if "opentelemetry.context" not in sys.modules:
        yield
        return
    from opentelemetry.context import Context, attach, detach

    token = attach(Context())
    yield
    detach(token)


@pytest.fixture(params=["the SDK's spans", "direct spans"])
def recorded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """An OpenTelemetry SDK in memory that samples everything: with a sampler that
    wants to be asked for every span, and without."""
    from support.telemetry import Recorded

    recorded = Recorded(watch=request.param == "the SDK's spans")
    recorded.install(monkeypatch)
    return recorded
