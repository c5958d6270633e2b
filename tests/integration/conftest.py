"""Fixtures that several kinds of integration tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fluxqueue import FluxQueue, Middleware
from support.audited_calls import Declare
from support.dev_command import put_stand_ins
from support.network_namespace import NOT_ALLOWED, in_new_network
from support.scripts import Scripts
from support.waiting import wait_until

if TYPE_CHECKING:
    from fluxqueue.embedded import EmbeddedRedis
    from fluxqueue_control.redis_client import RedisClient
    from support.redis_cluster import RedisCluster


@pytest.fixture
def scripts(redis: Any) -> Scripts:
    """The scripts of one queue in the test's own database."""
    return Scripts(redis)


@pytest.fixture
def client(redis_url: str) -> Iterator[FluxQueue]:
    """A client of the test's own database."""
    client = FluxQueue(redis_url)
    yield client
    client.close()


@pytest.fixture
def control(redis_url: str) -> Iterator[RedisClient]:
    """A client of the control package, of the test's own database."""
    from fluxqueue_control.redis_client import RedisClient
    from fluxqueue_core import Settings

    client = RedisClient(Settings(redis_url), 5.0)
    yield client
    client.close()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    """A server of the module's own, whose users its tests may change (`support.acl`)."""
    from fluxqueue.embedded import EmbeddedRedis

    with EmbeddedRedis(appendfsync="no") as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three masters of the module's own, with a password. No test stops one of them, and each
    has its own queues."""
    from support.redis_cluster import RedisCluster

    folder = tmp_path_factory.mktemp("cluster") / "nodes"
    with RedisCluster(folder, replicas=0, password="pw") as cluster:
        yield cluster


@pytest.fixture
def admin(request: pytest.FixtureRequest, server: EmbeddedRedis) -> Iterator[Any]:
    """A redis-py client of that server, empty, in the database `DATABASE` of the module (0)."""
    from redis import Redis

    with Redis.from_url(f"{server.url}/{getattr(request.module, 'DATABASE', 0)}") as admin:
        admin.flushall()
        admin.acl_log_reset()
        yield admin


@pytest.fixture(scope="session")
def _new_networks() -> None:
    """Skips the test, on a machine where a process can't have its own network."""
    tried = subprocess.run(in_new_network(["true"]), capture_output=True, text=True)
    if tried.returncode != 0:
        assert tried.returncode == NOT_ALLOWED, tried.stderr
        # A skipped test would go unnoticed there.
        assert os.environ.get("CI") != "true", tried.stderr
        pytest.skip(tried.stderr)


@pytest.fixture
def network(_new_networks: None) -> Iterator[int]:
    """A network in which no port is in use, by the pid of a process in it."""
    with subprocess.Popen(in_new_network(["sleep", "infinity"])) as holder:
        # It has the new network once it is no longer Python.
        wait_until(lambda: "sleep" in Path(f"/proc/{holder.pid}/comm").read_text())
        try:
            yield holder.pid
        finally:
            holder.kill()


@pytest.fixture
def dev_folder(tmp_path: Path) -> Path:
    """A working directory for `fluxqueue dev`, with stand-ins for worker and scheduler."""
    put_stand_ins(tmp_path)
    return tmp_path


@pytest.fixture
def declare(redis_url: str) -> Iterator[Declare]:
    """Declares `add` and `add_async` with middleware."""
    made: list[FluxQueue] = []

    def declare(*middleware: Middleware, is_async: bool = False, **options: Any) -> Any:
        queue = FluxQueue(redis_url, middleware=middleware)
        made.append(queue)

        async def add_async(number: int, word: str = "") -> None: ...
        def add(number: int, word: str = "") -> None: ...

        return queue.task(**options)(add_async if is_async else add)

    yield declare
    for queue in made:
        queue.close()
