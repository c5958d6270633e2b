"""The dashboard as a process, in `fluxqueue dev`, and inside another application."""

from __future__ import annotations

import base64
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fluxqueue_core import key
from fluxqueue_dashboard.access import Access, Visitor
from fluxqueue_dashboard.app import dashboard
from fluxqueue_dashboard.live import INTERVAL
from support.asgi import ask
from support.dev_command import dev, lines_until, ready, rest
from support.logging_process import LoggingProcess
from support.monitored import monitored
from support.waiting import wait_until


def started(folder: Path, redis_url: str, **options: object) -> LoggingProcess:
    return LoggingProcess(folder, redis_url, "fluxqueue_dashboard", {"port": 0, **options})


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers or {}), timeout=60
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_even_if_a_live_page_is_open(
    tmp_path: Path, redis_url: str, redis: Any, number: int
) -> None:
    redis.sadd(key("queues"), "mails")
    with started(tmp_path, redis_url) as process:
        url = process.wait_for("dashboard.started")["url"]
        assert get(f"{url}/livez") == (200, "ok\n")
        status, text = get(url)
        assert status == 200 and "mails" in text
        with urllib.request.urlopen(f"{url}/live?view=overview", timeout=60) as live:
            assert live.headers["content-type"].startswith("text/event-stream")
            assert b"live-queues" in b"".join(live.readline() for _ in range(3))
            process.signal(number)
            assert process.wait() == 0, process.output()
        # No error line, and no traceback.
        assert {line["level"] for line in process.lines} == {"info"}, process.output()
        assert process.other_output == []


def test_no_command_reaches_redis_without_viewers(
    tmp_path: Path, redis_url: str, redis: Any
) -> None:
    with started(tmp_path, redis_url) as process:
        url = process.wait_for("dashboard.started")["url"]
        with urllib.request.urlopen(f"{url}/live?view=overview", timeout=60) as live:
            [live.readline() for _ in range(3)]
        database = redis.connection_pool.connection_kwargs["db"]

        def is_quiet() -> bool:
            """Whether no connection has sent anything for longer than two intervals."""
            ours = [c for c in redis.client_list() if c["name"] == "fluxqueue-dashboard"]
            idle = [int(c["idle"]) for c in ours if int(c["db"]) == database]
            return bool(idle) and min(idle) > 2 * INTERVAL

        wait_until(is_quiet, interval=0.5, what="silence")


def test_a_secret_of_the_start_lets_a_person_in(tmp_path: Path, redis_url: str) -> None:
    with started(tmp_path, redis_url, new_token="operator", host="127.0.0.2") as process:
        secret = process.wait_for("dashboard.token")["secret"]
        url = process.wait_for("dashboard.started")["url"]
        assert url.startswith("http://127.0.0.2:")
        assert get(url)[0] == 401
        packed = base64.b64encode(f"token:{secret}".encode()).decode()
        status, text = get(url, {"authorization": f"Basic {packed}"})
        assert status == 200 and "token · operator" in text


def test_a_taken_port_is_one_line(tmp_path: Path, redis_url: str) -> None:
    with started(tmp_path, redis_url) as process:
        url = process.wait_for("dashboard.started")["url"]
        taken = int(url.rpartition(":")[2])
        with LoggingProcess(tmp_path, redis_url, "fluxqueue_dashboard", {"port": taken}) as other:
            assert other.wait() == 1
            assert other.named("dashboard.no_address", port=taken), other.output()


def test_redis_that_is_down_is_a_page(tmp_path: Path) -> None:
    with started(tmp_path, "redis://127.0.0.1:1") as process:
        url = process.wait_for("dashboard.started")["url"]
        status, text = get(url)
        assert status == 200 and "Redis can't be asked" in text
        status, text = get(f"{url}/periodic")
        assert status == 503 and "Redis can&#39;t answer" in text


def test_dev_serves_it_and_goes_on_without_it(dev_folder: Path, network: int) -> None:
    with dev(dev_folder, "-t", "app", "--dashboard", network=network) as process:
        found = ready(process)
        if "fluxqueue_dashboard" not in found:
            lines = lines_until(process, "fluxqueue_dashboard ready")
            found["fluxqueue_dashboard"] = lines[-1].split()[2:]
        pid, url, *options = found["fluxqueue_dashboard"]
        assert url == found["fluxqueue_scheduler"][1]
        assert options == ["--anyone", "operator"]
        os.kill(int(pid), signal.SIGTERM)
        lines_until(process, "fluxqueue_dashboard ended")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = rest(process)
        assert "fluxqueue_worker ended +PONG" in said
        assert process.returncode == 0


@pytest.fixture
def host(redis_url: str) -> FastAPI:
    """An application with the dashboard below /ops, in which the header `user` is a name."""

    def visitor(scope: Any) -> Visitor | None:
        name = dict(scope["headers"]).get(b"user", b"").decode()
        return Visitor(name, "operator" if name == "ada" else "viewer") if name else None

    app = FastAPI()
    app.mount("/ops", dashboard(redis_url, access=Access(by=visitor)))
    return app


def test_the_dashboard_can_be_mounted_with_the_users_of_the_application(
    host: FastAPI, redis: Any
) -> None:
    redis.sadd(key("queues"), "mails")
    assert ask(host, "/ops/").status == 401
    page = ask(host, "/ops/", headers={"user": "eve"})
    assert page.status == 200 and 'href="/ops/queue?name=mails"' in page.text
    assert 'src="/ops/static/dashboard.js' in page.text
    assert ask(host, "/ops/static/dashboard.js").status == 200
    here = {"sec-fetch-site": "same-origin"}
    form = {"queue": "mails"}
    answers = {
        name: ask(
            *(host, "/ops/changes/pause", "POST"), form=form, headers={"user": name, **here}
        ).status
        for name in ("eve", "ada")
    }
    assert answers == {"eve": 403, "ada": 303}
    assert redis.exists(key("paused", "mails"))


def test_a_page_asks_redis_a_bounded_number_of_times(host: FastAPI, redis: Any) -> None:
    redis.sadd(key("queues"), "mails", "reports")
    with monitored(redis) as commands:
        ask(host, "/ops/", headers={"user": "eve"})
    assert len(commands.plain) <= 4 + 2 * 20, commands.plain
    assert not any(each.startswith("KEYS") for each in commands.plain)
