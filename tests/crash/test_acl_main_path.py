"""The whole main path with the least rights of docs/security.md: client, worker and
scheduler are separate users. Then again through TLS, set up as that page says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue
from fluxqueue.embedded import EmbeddedRedis, RedisNotStarted
from fluxqueue_core import key
from redis import Redis
from support import acl, apps
from support.ports import free_port
from support.probing import get, reasons
from support.raw_messages import message
from support.system import System
from support.waiting import wait_until

APP = f"""
{apps.work()}
{apps.HOLD}

@fluxqueue.task_with_context(retry_delay=0.05)
def fails_once(ctx: Context, number):
    if ctx.metadata.retries == 0:
        raise ValueError("once")
    with ledger.run(number):
        pass

@fluxqueue.task(max_retries=0)
def fails(number):
    raise ValueError("for good")
"""
METRICS = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_TRACES_EXPORTER": "none"}
DATABASE = 5


def main_path(folder: Path, server: str, admin_url: str, admin: Any) -> None:
    """Exercises every part of the protocol; each role connects by its own URL.

    Args:
        server: the URL that the roles use, without user, password and database.
        admin_url: the administrator's, by which the test looks.
    """
    base, _, query = server.partition("?")
    urls = {role: acl.url(role, f"{base}/{DATABASE}?{query}".rstrip("?")) for role in acl.ROLES}
    admin.acl_log_reset()
    with System(
        folder,
        admin_url,
        APP,
        lease=2,
        client_url=urls["client"],
        worker_url=urls["worker"],
        scheduler_url=urls["scheduler"],
    ) as system:
        ports = free_port(), free_port()
        scheduler = system.start_scheduler(health_port=ports[0])
        worker = system.start_worker(concurrency=4, health_port=ports[1])
        # Enqueued in every way, tried again, dead, parked.
        system.enqueue("work", range(10))
        system.enqueue("fails_once", range(10, 20))
        system.enqueue("fails", [20])
        enqueue_async(urls["client"], range(30, 40))
        admin.lpush(key("pending", "default"), b"malformed", message("work", 1, 2, 3))
        system.wait_until_ended([*range(20), *range(30, 40)])
        wait_until(lambda: admin.zcard(key("dead", "default")) == 3, what=worker.output)
        # A task that has lost two workers runs in the lane for suspects.
        admin.lpush(key("suspects", "default"), message("work", 40, deliveries=2))
        system.wait_until_ended([40])
        worker.wait_for("suspects.started")
        # Health and metrics.
        for port in ports:
            assert reasons(port, "/livez") == [] == reasons(port, "/readyz")
            assert get(port, "/metrics")[0] == 200
        depth = r'fluxqueue_queue_dead\{[^}]*"default"[^}]*\} 3.0'
        assert re.search(depth, get(ports[0], "/metrics")[1]), get(ports[0], "/metrics")[1]
        # A worker is killed: its running task is rescued.
        system.enqueue("hold", [50])
        wait_until(lambda: 50 in system.ledger.started(), what=worker.output)
        worker.kill()
        second = system.start_worker(concurrency=2)
        wait_until(lambda: system.ledger.times_run().get(50) == 2, what=second.output)
        # A worker drains: it releases tasks that have not begun at once.
        system.enqueue("hold", [51])
        wait_until(lambda: 51 in system.ledger.started(), what=second.output)
        system.enqueue("work", range(60, 70))
        second.signal(15)
        second.wait_for("worker.draining")
        (folder / "open").touch()
        assert second.wait() == 0
        system.start_worker()
        system.wait_until_ended([50, 51, *range(60, 70)])
        system.wait_until_settled()
        assert scheduler.stop() == 0
        assert not scheduler.named("queue.failed") and not scheduler.named("search.failed")
        assert scheduler.other_output == []
        found = sorted(reason["reason"] for reason in dead_reasons(admin))
        assert found == ["arguments", "failed", "malformed"]
    assert acl.refused(admin) == []


def dead_reasons(admin: Any) -> list[Any]:
    return [json.loads(text) for text in admin.hvals(key("dead:reasons", "default"))]


def enqueue_async(url: str, numbers: range) -> None:
    app = FluxQueue(url)

    @app.task()
    async def work_async(number: int) -> None: ...

    async def main() -> None:
        await asyncio.gather(*(work_async(number) for number in numbers))

    asyncio.run(main())


@pytest.fixture(autouse=True)
def metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in METRICS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.versions
@pytest.mark.parametrize("version", acl.VERSIONS)
def test_the_main_path_works_with_the_least_rights(tmp_path: Path, version: str) -> None:
    with (
        EmbeddedRedis(appendfsync="no") as server,
        Redis.from_url(f"{server.url}/{DATABASE}") as admin,
    ):
        if version not in acl.versions_for(admin):
            pytest.skip("this server does not know the lines for Redis 7")
        for role, rules in acl.lines(version).items():
            acl.create(admin, role, rules)
        main_path(tmp_path, server.url, f"{server.url}/{DATABASE}", admin)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the commands of the page make."""
    if shutil.which("openssl") is None and os.environ.get("CI") != "true":
        pytest.skip("no openssl on this machine")
    folder = tmp_path_factory.mktemp("certificates")
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", acl.PAGE, re.MULTILINE | re.DOTALL)
    subprocess.run(
        ["bash", "-euc", commands], cwd=folder, check=True, capture_output=True, timeout=60
    )
    return folder


@pytest.fixture(scope="module")
def secured(certificates: Path) -> Iterator[tuple[EmbeddedRedis, int]]:
    """A Redis that requires a certificate of each client that connects by TLS, set up as
    the page says, and its port for TLS; the test uses the other port."""
    (page,) = re.findall(r"^```conf\n(.*?)^```$", acl.PAGE, re.MULTILINE | re.DOTALL)
    options = dict(line.split(" ", 1) for line in page.splitlines())
    assert options.pop("port") == "0"
    port = free_port()
    options["tls-port"] = str(port)
    for name, value in options.items():
        if name.endswith("-file"):
            options[name] = str(certificates / value)
    try:
        server = EmbeddedRedis(appendfsync="no", options=options).start()
    except RedisNotStarted as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no Redis with TLS: {error}")
    with server:
        yield server, port


def parameters(certificates: Path, *names: str) -> str:
    files = {"ssl_ca_certs": "ca.pem", "ssl_certfile": "client.pem", "ssl_keyfile": "client.key"}
    return "&".join(f"{name}={certificates / files[name]}" for name in names or files)


def test_the_main_path_works_by_tls_with_a_private_authority(
    tmp_path: Path, certificates: Path, secured: tuple[EmbeddedRedis, int]
) -> None:
    server, port = secured
    with Redis.from_url(f"{server.url}/{DATABASE}") as admin:
        for role, rules in acl.lines(acl.version_of(admin)).items():
            acl.create(admin, role, rules)
        url = f"rediss://localhost:{port}?{parameters(certificates)}"
        main_path(tmp_path, url, f"{server.url}/{DATABASE}", admin)


@pytest.mark.parametrize(
    ("host", "names", "said"),
    [
        ("localhost", ["ssl_ca_certs"], "ertificate"),
        ("localhost", [], "invalid peer certificate"),
        ("127.0.0.1", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"], "not valid for name"),
    ],
    ids=["without a certificate", "authority not trusted", "another host"],
)
def test_without_the_right_certificates_the_client_sends_no_task(
    certificates: Path,
    secured: tuple[EmbeddedRedis, int],
    host: str,
    names: list[str],
    said: str,
) -> None:
    server, port = secured
    query = parameters(certificates, *names) if names else ""
    app = FluxQueue(f"rediss://{host}:{port}/1?{query}".rstrip("?"), timeout=2)

    @app.task()
    def work() -> None: ...

    with pytest.raises(BrokerUnavailable, match=said):
        work()
    with Redis.from_url(f"{server.url}/1") as admin:
        assert admin.dbsize() == 0
