"""A server without a command that FluxQueue needs, because it was renamed: client, worker and
scheduler name what is missing, once, and don't hurry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerError, BrokerUnavailable, FluxQueue
from fluxqueue_core import key
from redis.exceptions import ConnectionError
from support.ports import free_ports
from support.raw_messages import message
from support.redis_process import RedisProcess
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until, wait_until_past
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def work(number):
    note(number)
"""
WATCHED = 2.0


@contextmanager
def server_without(folder: Path, *commands: str, **options: object) -> Iterator[RedisProcess]:
    lines = [f'rename-command {command} ""' for command in commands]
    (port,) = free_ports(1)
    server = RedisProcess(folder / "redis", port, {"save": "", **options}, lines=lines)
    server.launch()
    try:
        wait_until(lambda: answers(server))
        yield server
    finally:
        server.kill()


def url(server: RedisProcess) -> str:
    return f"redis://{server.address}"


def answers(server: RedisProcess) -> bool:
    with suppress(ConnectionError):
        return bool(server.client.ping())
    return False


def errors(process: SchedulerProcess) -> list[dict[str, Any]]:
    return [line for line in list(process.lines) if line["level"] == "error"]


def commands_of(server: RedisProcess) -> int:
    """How many commands the server has received, this one included."""
    return int(server.client.info("stats")["total_commands_processed"]) + sum(
        int(of["count"]) for of in server.client.info("errorstats").values()
    )


@pytest.mark.versions
def test_without_blmove_a_worker_polls_and_says_so_once(tmp_path: Path) -> None:
    with (
        server_without(tmp_path, "BLMOVE") as server,
        WorkerProcess(tmp_path, url(server), APP) as worker,
    ):
        line = worker.wait_for("worker.no_blmove")
        assert line["queues"] == 1
        assert "Redis refused BLMOVE" in line["error"] and "docs/redis.md" in line["error"]
        before = commands_of(server)
        wait_until_past(time.monotonic() + WATCHED)
        # An exchange every 400 ms, which is about ten commands; a BLMOVE every five seconds.
        assert commands_of(server) - before < 50 * WATCHED
        for number in range(3):
            server.client.lpush(key("pending", "default"), message("work", number))
            wait_until(lambda n=number: str(n) in worker.notes(), what=worker.output)  # type: ignore[misc]
        assert len(worker.named("worker.no_blmove")) == 1
        assert worker.named("worker.disconnected") == []
        assert server.client.zcard(key("consumers", "default")) == 1
        assert worker.stop() == 0


def test_a_worker_of_several_queues_says_once_that_there_is_no_blmove(tmp_path: Path) -> None:
    app = "\n".join(
        f"@fluxqueue.task(name='work', queue='{queue}')\ndef work_{queue}(number): note(number)"
        for queue in "abc"
    )
    with (
        server_without(tmp_path, "BLMOVE") as server,
        WorkerProcess(tmp_path, url(server), app, queue="a,b,c") as worker,
    ):
        assert worker.wait_for("worker.no_blmove")["queues"] == 3
        # Each queue has been refused when it has run a second task.
        for number, queue in enumerate("abcabc"):
            server.client.lpush(key("pending", queue), message("work", number))
            wait_until(lambda n=number: len(worker.notes()) == n + 1, what=worker.output)  # type: ignore[misc]
        assert len(worker.named("worker.no_blmove")) == 1
        assert worker.stop() == 0


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("SELECT", "SELECT"),
        ("EVALSHA", "the script exchange"),
        ("ZADD", "the script open"),
    ],
)
def test_a_worker_names_what_is_missing_and_does_not_hurry(
    tmp_path: Path, command: str, named: str
) -> None:
    with server_without(tmp_path, command) as server:
        server.client.lpush(key("pending", "default"), message("work", 1))
        with WorkerProcess(tmp_path, url(server), APP) as worker:
            line = worker.wait_for("worker.disconnected")
            assert named in line["error"]
            assert "docs/redis.md" in line["error"]
            wait_until_past(time.monotonic() + WATCHED)
            assert len(worker.named("worker.disconnected")) == 1
            # One conversation at once, and one every five seconds.
            assert server.client.zcard(key("consumers", "default")) <= 3


def test_a_worker_serves_although_it_can_not_register_the_queue(tmp_path: Path) -> None:
    with server_without(tmp_path, "SADD") as server:
        server.client.lpush(key("pending", "default"), message("work", 1))
        with WorkerProcess(tmp_path, url(server), APP) as worker:
            line = worker.wait_for("worker.not_registered")
            assert "Redis refused SADD" in line["error"] and "docs/redis.md" in line["error"]
            wait_until(lambda: worker.notes() == ["1"], what=worker.output)


def test_a_server_without_auth_does_not_bring_the_password_into_errors_and_logs(
    tmp_path: Path,
) -> None:
    with server_without(tmp_path, "AUTH") as server:
        secret = url(server).replace("://", "://somebody:hidden@")
        app = FluxQueue(secret)

        @app.task()
        def work() -> None: ...

        with pytest.raises(BrokerError, match=r"Redis refused AUTH: ERR; docs/redis\.md") as caught:
            work()
        app.close()
        with (
            WorkerProcess(tmp_path, secret, APP) as worker,
            SchedulerProcess(tmp_path, secret) as scheduler,
        ):
            worker.wait_for("worker.disconnected")
            scheduler.wait_for("queues.unreadable")
            texts = [str(caught.value), worker.output(), scheduler.output()]
        assert not [text for text in texts if "somebody" in text or "hidden" in text]


def test_a_server_without_lpush_does_not_bring_arguments_into_errors(tmp_path: Path) -> None:
    with server_without(tmp_path, "LPUSH") as server:
        app = FluxQueue(url(server))

        @app.task()
        def work(argument: str) -> None: ...

        with pytest.raises(BrokerError, match=r"unknown command 'LPUSH'; docs/redis\.md") as caught:
            work("hidden")
        assert "hidden" not in str(caught.value)
        app.close()


@pytest.mark.parametrize("command", ["LPUSH", "SELECT"])
def test_a_call_names_what_is_missing(tmp_path: Path, command: str) -> None:
    with server_without(tmp_path, command) as server:
        app = FluxQueue(url(server))

        @app.task()
        def work() -> None: ...

        with pytest.raises(BrokerError, match=f"Redis refused {command}.*docs/redis.md") as caught:
            work()
        assert not isinstance(caught.value, BrokerUnavailable)
        app.close()


LATE = "a-consumer"


@pytest.mark.parametrize(
    ("command", "event", "remedy"),
    [
        ("SMEMBERS", "queues.unreadable", "docs/redis.md"),
        ("EVALSHA", "queue.failed", "docs/security.md"),
        ("SCRIPT", "scheduler.failed", "docs/redis.md"),
        ("SCAN", "search.failed", "docs/redis.md"),
        ("LMOVE", "queue.failed", "docs/redis.md"),
    ],
)
def test_a_scheduler_names_what_is_missing_once(
    tmp_path: Path, command: str, event: str, remedy: str
) -> None:
    with server_without(tmp_path, command) as server:
        server.client.sadd(key("queues"), "default")
        # A tombstone with a message, which the script reclaim moves by LMOVE.
        server.client.zadd(key("consumers", "default"), {LATE: -1})
        server.client.lpush(key("inbox", "default", LATE), message("work", 1))
        with SchedulerProcess(tmp_path, url(server)) as scheduler:
            line = scheduler.wait_for(event)
            assert "exception" not in line
            assert remedy in line["remedy"]
            wait_until_past(time.monotonic() + WATCHED)
            # Each loop, and each kind of work on the queue, may have its line.
            assert len(errors(scheduler)) <= 5, errors(scheduler)
            assert scheduler.stop() == 0


def test_a_scheduler_does_without_client_and_info(tmp_path: Path) -> None:
    with server_without(tmp_path, "CLIENT", "INFO") as server:
        server.client.sadd(key("queues"), "default")
        server.client.zadd(key("delayed", "default"), {message("work", 1): 1})
        with SchedulerProcess(tmp_path, url(server)) as scheduler:
            wait_until(lambda: server.client.llen(key("pending", "default")) == 1)
            assert errors(scheduler) == []
            assert scheduler.stop() == 0


def test_a_server_without_room_for_a_client_is_tried_again(tmp_path: Path) -> None:
    """Its error has no code; it closes the connection after it."""
    with server_without(tmp_path) as server:
        app = FluxQueue(f"{url(server)}?timeout=1")

        @app.task()
        def work() -> None: ...

        server.client.config_set("maxclients", 1)
        with pytest.raises(BrokerUnavailable, match="max number of clients"):
            work()
        server.client.config_set("maxclients", 100)
        work()
        assert server.client.llen(key("pending", "default")) == 1
        app.close()
