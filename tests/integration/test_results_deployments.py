"""Waits for results behind Sentinels, in a cluster, over TLS, and with the least rights."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerError, FluxQueue, TaskHandle, gather_results, gather_results_sync
from fluxqueue.embedded import EmbeddedRedis, RedisNotStarted
from fluxqueue.waiting import listener
from fluxqueue_core import new_task_id
from redis import Redis
from redis.exceptions import NoPermissionError
from support import acl
from support.outcomes import store
from support.redis_cluster import RedisCluster
from support.redis_process import RedisProcess
from support.redis_sentinel import RedisSentinel
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task(queue={queue!r}, result_ttl=60)
def double(number):
    return 2 * number
"""


def handles_of(client: FluxQueue, queue: str, count: int) -> list[TaskHandle[Any]]:
    return [client.handle(new_task_id(), queue=queue) for _ in range(count)]


class Gathering:
    """Waits for tasks: half of them in a thread, half on a loop."""

    def __init__(self, handles: list[TaskHandle[Any]]) -> None:
        self._settings = handles[0]._broker.settings
        self._got: dict[int, list[Any]] = {}
        half = len(handles) // 2
        waits = [
            lambda: gather_results_sync(handles[:half], 120),
            lambda: asyncio.run(self._on_loop(handles[half:])),
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(n, wait), daemon=True)
            for n, wait in enumerate(waits)
        ]
        for thread in self._threads:
            thread.start()

    async def _on_loop(self, handles: list[TaskHandle[Any]]) -> list[Any]:
        return await gather_results(handles, 120)

    def _run(self, number: int, wait: Any) -> None:
        self._got[number] = wait()

    def results(self) -> list[Any]:
        for thread in self._threads:
            thread.join(120)
        assert listener(self._settings).waits == 0
        return [*self._got[0], *self._got[1]]


def subscribed(server: RedisProcess, sharded: bool = False) -> int:
    command = "PUBSUB SHARDCHANNELS" if sharded else "PUBSUB CHANNELS"
    return len(server.client.execute_command(command, "fluxqueue:*"))


def has_shards(server: RedisProcess) -> bool:
    return int(server.client.info("server")["redis_version"].partition(".")[0]) >= 7


def test_waits_go_along_with_a_failover_of_sentinels(redis_sentinel: RedisSentinel) -> None:
    servers = redis_sentinel
    client = FluxQueue(servers.url)
    handles = handles_of(client, "default", 2_000)
    gathering = Gathering(handles)
    wait_until(lambda: subscribed(servers.master()) == 2_000)
    with servers.client() as redis:
        for n, handle in enumerate(handles[:100]):
            store(redis, handle.id, str(n))
    servers.wait_for_replicas()
    old = servers.kill_master()
    new = servers.wait_for_failover(old)
    with servers.client() as redis:
        for n, handle in enumerate(handles[100:], 100):
            store(redis, handle.id, str(n))
    assert gathering.results() == list(range(2_000))
    wait_until(lambda: subscribed(new) == 0)


def test_a_worker_behind_sentinels_returns_results(
    tmp_path: Path, redis_sentinel: RedisSentinel
) -> None:
    client = FluxQueue(redis_sentinel.url)

    @client.task(result_ttl=60)
    def double(number: int) -> int:
        raise NotImplementedError

    with WorkerProcess(tmp_path, redis_sentinel.url, APP.format(queue="default")) as worker:
        handles = [double.enqueue(n) for n in range(50)]
        assert gather_results_sync(handles, 60) == [2 * n for n in range(50)]
        assert worker.stop() == 0


def test_a_cluster_returns_results_over_one_connection_for_each_master(
    tmp_path: Path, redis_cluster: RedisCluster
) -> None:
    servers = redis_cluster
    client = FluxQueue(servers.url)
    queues = [servers.queue_on(master) for master in servers.masters()]
    app = "".join(APP.format(queue=queue) for queue in queues)
    handles: list[TaskHandle[int]] = []
    for queue in queues:

        @client.task(queue=queue, result_ttl=60)
        def double(number: int) -> int:
            raise NotImplementedError

        handles += [double.enqueue(n) for n in range(200)]
    gathering = Gathering(handles)
    shards = has_shards(servers.masters()[0])
    wait_until(lambda: [subscribed(m, shards) for m in servers.masters()] == [200] * 3)
    for master in servers.masters():
        assert len([c for c in master.client.client_list() if subs(c)]) == 1
    with WorkerProcess(tmp_path, servers.url, app, queue=",".join(queues)) as worker:
        assert gathering.results() == [2 * n for n in range(200)] * 3
        assert worker.stop() == 0
    wait_until(lambda: [subscribed(m, shards) for m in servers.masters()] == [0] * 3)


def subs(client: dict[str, str]) -> int:
    return int(client["sub"]) + int(client.get("ssub", 0))


def test_waits_go_along_with_a_hash_slot_and_with_a_failover(redis_cluster: RedisCluster) -> None:
    servers = redis_cluster
    client = FluxQueue(servers.url)
    first, target, _ = servers.masters()
    queue = servers.queue_on(first)
    handles = handles_of(client, queue, 600)
    gathering = Gathering(handles)
    shards = has_shards(first)
    publish = "SPUBLISH" if shards else "PUBLISH"
    wait_until(lambda: subscribed(first, shards) == 600)

    def end(numbers: range) -> None:
        owner = servers.owner(f"{{{queue}}}")
        for n in numbers:
            store(owner.client, handles[n].id, str(n), queue, publish=publish)

    end(range(200))
    servers.move_hash_slot(servers.hash_slot(f"{{{queue}}}"), target)
    end(range(200, 400))
    servers.wait_for_replicas(target)
    servers.failover(target)
    end(range(400, 600))
    assert gathering.results() == list(range(600))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_results_arrive_over_tls() -> None:
    folder = Path(__file__).parents[1] / "support" / "tls"
    certificate = folder / "localhost.pem"
    port = free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(folder / "localhost.key"),
        "tls-ca-cert-file": str(certificate),
        "tls-auth-clients": "no",
    }
    server = EmbeddedRedis(appendfsync="no", options=options)
    try:
        server.start()
    except RedisNotStarted as error:
        if os.environ.get("CI") == "true":
            raise  # in CI a skipped test would go unnoticed
        pytest.skip(f"no Redis with TLS: {error}")
    with server:
        url = f"rediss://localhost:{port}?ssl_ca_certs={certificate}"
        client = FluxQueue(url)
        handles = handles_of(client, "default", 1_000)
        gathering = Gathering(handles)
        with Redis.from_url(server.url) as redis:
            wait_until(lambda: len(redis.pubsub_channels("*")) == 1_000)
            for n, handle in enumerate(handles):
                store(redis, handle.id, f'"{"x" * n}"')
        assert [len(text) for text in gathering.results()] == list(range(1_000))


# The least rights.


def rights(role: str, version: str) -> list[str]:
    """The rules that the page adds for results."""
    [block] = re.findall(r"^```acl-results\n(.*?)^```$", acl.PAGE, re.MULTILINE | re.DOTALL)
    [line] = [line for line in block.splitlines() if line.startswith(f"{role} ")]
    if version == "6.2":
        line = re.sub(r"\((\+get \+mget) %R(~\S+)\)", r"\1 \2", line)
    return re.findall(r"\([^)]*\)|\S+", line)[1:]


def missing(rules: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each right of the rules, and the rules without it."""
    for command in sorted(acl.commands(rules)):
        yield command, acl.without(rules, command)
    yield "&", [rule for rule in rules if not rule.startswith("&")]


@pytest.mark.versions
def test_a_caller_waits_with_the_rights_of_the_page_and_no_others(
    server: EmbeddedRedis, admin: Any
) -> None:
    version = acl.version_of(admin)
    base = acl.lines(version)["client"]
    rules = rights("client", version)

    def wait(rules: list[str]) -> Any:
        acl.create(admin, "client", [*base, *rules])
        client = FluxQueue(acl.url("client", server.url))
        handles = handles_of(client, "default", 2)
        thread_result: list[Any] = []

        def run() -> None:
            try:
                several = gather_results_sync(handles, 20)
                thread_result.append([*several, handles[0].result(20)])
            except BrokerError as error:
                thread_result.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        wait_until(lambda: bool(thread_result) or bool(admin.pubsub_channels("fluxqueue:*")))
        for handle in handles:
            store(admin, handle.id, "7")
        thread.join(20)
        wait_until(lambda: listener(client.settings).waits == 0)
        return thread_result[0]

    assert wait(rules) == [7, 7, 7]
    for right, fewer in missing(rules):
        if right in ("ping", "unsubscribe"):
            continue  # only a longer wait needs it: the next tests
        error = wait(fewer)
        assert isinstance(error, BrokerError) and "NOPERM" in str(error), (right, error)


@pytest.mark.versions
@pytest.mark.parametrize("right", ["ping", "unsubscribe"])
def test_these_rights_of_a_caller_are_used(server: EmbeddedRedis, admin: Any, right: str) -> None:
    version = acl.version_of(admin)
    acl.create(
        admin,
        "client",
        acl.without([*acl.lines(version)["client"], *rights("client", version)], right),
    )
    with Redis.from_url(acl.url("client", server.url)) as user, pytest.raises(NoPermissionError):
        user.execute_command(right.upper())


def refusals(worker: WorkerProcess) -> int:
    """How often Redis has refused the script that settles."""
    lines = worker.named("worker.disconnected")
    return len([line for line in lines if "the script exchange" in str(line)])


@pytest.mark.versions
def test_a_worker_keeps_results_with_the_rights_of_the_page(
    tmp_path: Path, server: EmbeddedRedis, admin: Any
) -> None:
    version = acl.version_of(admin)
    base, rules = acl.lines(version)["worker"], rights("worker", version)
    client = FluxQueue(server.url)

    @client.task(result_ttl=60)
    def double(number: int) -> int:
        raise NotImplementedError

    acl.create(admin, "worker", [*base, *rules])
    with WorkerProcess(
        tmp_path, acl.url("worker", server.url), APP.format(queue="default")
    ) as worker:
        assert double.enqueue(2).result(20) == 4
        for _, fewer in missing(rules):
            # Redis closes the connections of a user that it loses.
            before = refusals(worker)
            acl.create(admin, "worker", [*base, *fewer])
            handle = double.enqueue(3)
            wait_until(partial(lambda before: refusals(worker) > before, before))
            assert handle.status() == "unfinished"
            # Nothing was settled, so nothing is lost.
            acl.create(admin, "worker", [*base, *rules])
            assert handle.result(30) == 6
        assert worker.stop() == 0


NOTING = """
@fluxqueue.task_with_context(result_ttl=60)
def rows(ctx: Context):
    ctx.progress(1, 2)
    ctx.checkpoint({"row": 1})
    while not os.path.exists("open"):
        time.sleep(0.01)
"""


@pytest.mark.versions
def test_progress_and_checkpoints_need_no_more_rights(
    tmp_path: Path, server: EmbeddedRedis, admin: Any
) -> None:
    version = acl.version_of(admin)
    for role in ("client", "worker"):
        acl.create(admin, role, [*acl.lines(version)[role], *rights(role, version)])
    client = FluxQueue(acl.url("client", server.url))

    @client.task(result_ttl=60)
    def rows() -> None: ...

    handle = rows.enqueue()

    def has_checkpoint() -> bool:
        [claimed] = admin.keys("fluxqueue:{default}:claimed:*")
        return all(b'"checkpoint":{"row":1}' in raw for raw in admin.hvals(claimed))

    async def watch() -> list[float]:
        seen = []
        async for progress in handle.watch():
            seen.append(progress.done)
            # The checkpoint may travel with the exchange after that of the report.
            wait_until(has_checkpoint)
            (tmp_path / "open").touch()
        return seen

    with WorkerProcess(tmp_path, acl.url("worker", server.url), NOTING) as worker:
        assert asyncio.run(asyncio.wait_for(watch(), 60)) == [1]
        assert handle.progress() is None
        assert worker.stop() == 0
