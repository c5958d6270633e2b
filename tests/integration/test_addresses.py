"""Names that are looked up slowly or not at all, and addresses of which some are dead: each
second counts towards the timeout, for client, worker and scheduler."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import key
from redis import Redis
from support.name_server import NameServer, inside
from support.ports import free_ports
from support.raw_messages import push
from support.redis_process import CERTIFICATES, RedisProcess
from support.scheduler_process import SchedulerProcess
from support.waiting import PATIENCE, wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def work(text):
    note(text)
"""
# Each way to enqueue, three times: why it failed.
CLIENT = """
import asyncio, json, sys
from fluxqueue import BrokerUnavailable, FluxQueue
app = FluxQueue(sys.argv[1], timeout=float(sys.argv[2]), connect_timeout=float(sys.argv[3]))
@app.task()
def work(text): ...
@app.task()
async def work_async(text): ...
def enqueue_async():
    return asyncio.run(work_async("async"))
ways = [lambda: work("sync"), lambda: work.enqueue_many([("bulk",)]), enqueue_async]
errors = []
for way in ways * 3:
    try:
        way()
        errors.append("")
    except BrokerUnavailable as error:
        errors.append(str(error))
[threads] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Threads:")]
print(json.dumps({"errors": errors, "threads": int(threads)}))
"""


def call(
    under: list[str], url: str, timeout: float, connect_timeout: float
) -> tuple[list[str], int]:
    """Returns the errors and the number of threads that `CLIENT` prints."""
    command = [*under, sys.executable, "-c", CLIENT, url, str(timeout), str(connect_timeout)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    printed = json.loads(done.stdout)
    return printed["errors"], printed["threads"]


def at(redis_url: str, host: str) -> str:
    return redis_url.replace("127.0.0.1", host)


@pytest.fixture
def swallowing(redis_url: str) -> Iterator[str]:
    """An address that answers no SYN at the port of Redis: its queue of connections is full."""
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with socket.socket() as listener:
        listener.bind(("127.0.0.9", port))
        listener.listen(0)
        crowd = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.9", port))
            crowd.append(one)
        yield "127.0.0.9"
        for one in crowd:
            one.close()


@pytest.fixture
def speechless(redis_url: str) -> Iterator[str]:
    """An address that takes connections at the port of Redis, and says nothing."""
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.8", port)):
        yield "127.0.0.8"


@pytest.fixture
def refusing_clients(redis_url: str) -> Iterator[str]:
    """An address at the port of Redis that refuses each client as a full server does."""
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.7", port)) as listener:

        def refuse() -> None:
            with contextlib.suppress(OSError):  # the end of the test
                while True:
                    with listener.accept()[0] as client:
                        client.recv(1_000)
                        client.sendall(b"-ERR no room for you\r\n")
                        time.sleep(0.02)  # the client reads the error first

        thread = threading.Thread(target=refuse)
        thread.start()
        yield "127.0.0.7"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("kind", ["swallowing", "speechless"])
def test_the_second_address_is_used_if_the_first_is_dead(
    tmp_path: Path, redis_url: str, redis: Redis, kind: str, request: pytest.FixtureRequest
) -> None:
    dead = request.getfixturevalue(kind)
    hosts = f"127.0.0.1 localhost\n{dead} redis.example\n127.0.0.1 redis.example\n"
    under = inside(tmp_path, hosts=hosts)
    url = at(redis_url, "redis.example")
    errors, _ = call(under, url, PATIENCE, 2)
    assert errors == [""] * 9
    assert redis.llen(key("pending", "default")) == 9
    redis.delete(key("pending", "default"))
    push(redis, "work", "worked")
    with WorkerProcess(tmp_path, url, APP, under=under) as worker:
        wait_until(lambda: worker.notes() == ["worked"])
        assert worker.stop() == 0


@pytest.mark.parametrize("kind", ["swallowing", "speechless", "refusing_clients"])
def test_the_scheduler_uses_the_second_address(
    tmp_path: Path, redis_url: str, redis: Redis, kind: str, request: pytest.FixtureRequest
) -> None:
    dead = request.getfixturevalue(kind)
    hosts = f"127.0.0.1 localhost\n{dead} redis.example\n127.0.0.1 redis.example\n"
    with SchedulerProcess(
        tmp_path, at(redis_url, "redis.example"), under=inside(tmp_path, hosts=hosts)
    ) as scheduler:
        wait_until(lambda: is_connected(redis), what=scheduler.output)
        assert scheduler.named("redis.unavailable") == []
        assert scheduler.stop() == 0


def test_the_scheduler_uses_the_second_address_by_tls(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server = RedisProcess(tmp_path / "redis", port, {}, tls=True)
    try:
        server.start()
        hosts = "127.0.0.8 localhost\n127.0.0.1 localhost\n"
        url = f"rediss://localhost:{port}?ssl_ca_certs={CERTIFICATES / 'localhost.pem'}"
        with (
            socket.create_server(("127.0.0.8", port)),
            SchedulerProcess(tmp_path, url, under=inside(tmp_path, hosts=hosts)) as scheduler,
        ):
            wait_until(lambda: is_connected(server.client), what=scheduler.output)
            assert scheduler.named("redis.unavailable") == []
            assert scheduler.stop() == 0
    finally:
        server.kill()


def test_the_error_of_the_scheduler_has_the_reason_of_each_address(
    tmp_path: Path, redis_url: str, speechless: str, refusing_clients: str
) -> None:
    hosts = f"127.0.0.1 localhost\n{speechless} redis.example\n{refusing_clients} redis.example\n"
    with SchedulerProcess(
        tmp_path, at(redis_url, "redis.example"), under=inside(tmp_path, hosts=hosts)
    ) as scheduler:
        scheduler.wait_for("redis.unavailable")
        (line, *_) = scheduler.named("redis.unavailable")
        assert f"{speechless}: it takes the connection and does not answer" in line["error"]
        assert f"{refusing_clients}: ERR no room for you" in line["error"]


def is_connected(redis: Any) -> bool:
    return any(client["name"] == "fluxqueue-scheduler" for client in redis.client_list())


def test_a_name_server_that_is_silent_costs_no_more_than_the_timeout(
    tmp_path: Path, redis_url: str
) -> None:
    with NameServer() as names:
        errors, threads = call(names.inside(tmp_path), at(redis_url, "redis.example"), 1, 0.4)
    # The library of the system would have waited for 10 s, and then named another reason.
    late = [error for error in errors if 'look-up of "redis.example" takes too long' in error]
    assert late == errors
    # The main thread, one lookup, and the attempts of the loops that have ended.
    assert threads <= 5


def test_an_answer_that_comes_after_an_attempt_serves_the_next_one(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    """The name server takes longer than `connect_timeout`, as a second one does whose first
    is dead."""
    with NameServer(delay=1.5) as names:
        under = names.inside(tmp_path)
        url = at(redis_url, "redis.example")
        errors, _ = call(under, url, PATIENCE, 1)
        assert errors == [""] * 9
        redis.delete(key("pending", "default"))
        push(redis, "work", "worked")
        with WorkerProcess(tmp_path, f"{url}?connect_timeout=1", APP, under=under) as worker:
            wait_until(lambda: worker.notes() == ["worked"])
            assert worker.stop() == 0


@pytest.mark.parametrize("way", ["work(1)", "work.enqueue_many([(1,)])"])
def test_ctrl_c_ends_a_call_that_waits_for_a_name_server(
    tmp_path: Path, redis_url: str, way: str
) -> None:
    code = f"""
import sys
from fluxqueue import FluxQueue
app = FluxQueue(sys.argv[1], timeout=600, connect_timeout=600)
@app.task()
def work(n): ...
print("calls", flush=True)
{way}
"""
    with NameServer() as names:
        command = [sys.executable, "-c", code, at(redis_url, "redis.example")]
        with subprocess.Popen(
            [*names.inside(tmp_path), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as client:
            try:
                wait_until(lambda: names.asked > 0)
                client.send_signal(signal.SIGINT)
                # The lookup goes on for 10 s, and the call for 600.
                _, errors = client.communicate(timeout=PATIENCE)
            finally:
                client.kill()
    assert client.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in errors


def test_a_scheduler_stops_while_a_name_server_is_silent(tmp_path: Path, redis_url: str) -> None:
    with NameServer() as names:
        url = at(redis_url, "redis.example")
        with SchedulerProcess(tmp_path, url, under=names.inside(tmp_path)) as scheduler:
            wait_until(lambda: scheduler.named("redis.unavailable"), what=scheduler.output)
            [line] = scheduler.named("redis.unavailable")[:1]
            assert "takes too long" in line["error"]
            assert scheduler.stop() == 0


def test_a_child_of_fork_makes_its_own_lookup(tmp_path: Path, redis_url: str) -> None:
    code = """
import os, sys
from fluxqueue import BrokerUnavailable, FluxQueue
app = FluxQueue(sys.argv[1], timeout=0.5)
@app.task()
def work(n): ...
def fails():
    try:
        work(1)
    except BrokerUnavailable as error:
        return "takes too long" in str(error)
assert fails()
child = os.fork()
if child == 0:
    os._exit(0 if fails() else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    with NameServer() as names:
        under = names.inside(tmp_path)
        url = at(redis_url, "redis.example")
        subprocess.run([*under, sys.executable, "-c", code, url], check=True, timeout=120)
