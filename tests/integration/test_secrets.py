"""No error and no log shows the user, the password or the parameters of a URL."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fluxqueue import ConfigurationError, FluxQueue, FluxQueueError
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import Producer, Settings, key
from redis import Redis
from support.logging_process import LoggingProcess
from support.ports import free_port
from support.probing import get
from support.raw_messages import message
from support.scheduler_process import SchedulerProcess
from support.telemetry import Recorded
from support.tls_proxy import LOCALHOST
from support.waiting import wait_until
from support.worker_process import WorkerProcess

# They end in letters that are not hexadecimal, so no random id of a span contains them.
USER = "nutzer-q5wk"
PASSWORD = "geheim-x7vz"
SECRETS = (USER, PASSWORD, "q5wk", "x7vz")
TELEMETRY = {
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_LOGS_EXPORTER": "none",
}
APP = """
@fluxqueue.task()
def work(number):
    note(number)

@fluxqueue.task(max_retries=0)
def shows_its_client():
    raise ValueError(f"{fluxqueue!r} {fluxqueue.settings!r} {fluxqueue.tasks}")
"""


def leaks(*texts: str) -> list[str]:
    return [text for text in texts if any(secret in text for secret in SECRETS)]


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    """One that wants another password than the tests' URL has, if it has one."""
    with EmbeddedRedis(appendfsync="no") as server, Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "+@all")
        yield server


def url_of(server: EmbeddedRedis, password: str = PASSWORD) -> str:
    return f"redis://{USER}:{password}@127.0.0.1:{server.port}/0"


def call(app: FluxQueue, how: str) -> None:
    @app.task()
    def work() -> None: ...

    @app.task()
    async def work_async() -> None: ...

    async def main() -> None:
        if how == "async":
            await work_async()
        else:
            await work_async.enqueue_many_async([()])

    if how == "sync":
        work()
    elif how == "bulk":
        work.enqueue_many([()])
    else:
        asyncio.run(main())


@pytest.mark.parametrize("how", ["sync", "async", "bulk", "async bulk"])
@pytest.mark.parametrize("what", ["nobody", "refused", "no TLS there", "no right", "not Redis"])
def test_an_error_of_the_client_with_its_traceback_and_its_span(
    what: str, how: str, server: EmbeddedRedis, recorded: Recorded
) -> None:
    if what == "nobody":
        url = f"redis://{USER}:{PASSWORD}@127.0.0.1:{free_port()}"
    elif what == "refused":
        url = url_of(server, f"other-{PASSWORD}")
    elif what == "no TLS there":
        query = f"ssl_ca_certs={LOCALHOST}&ssl_certfile={LOCALHOST}&ssl_keyfile={LOCALHOST}"
        url = url_of(server).replace("redis://", "rediss://") + "?" + query
    elif what == "no right":
        with Redis.from_url(server.url) as admin:
            admin.execute_command("ACL", "SETUSER", USER, "-lpush")
        url = url_of(server)
    else:
        url = f"redis://{USER}:{PASSWORD}@127.0.0.1:{free_port()}/{3}"
    app = FluxQueue(url, timeout=0.3)
    with pytest.raises(FluxQueueError) as caught:
        call(app, how)
    error = caught.value
    spans = [span.to_json() for span in recorded.spans()]
    assert spans
    shown = [str(error), repr(error), *traceback.format_exception(error), *spans]
    shown += [repr(app), repr(app.settings), repr(Producer(app.settings)), app.settings.display_url]
    assert leaks(*shown) == []


@pytest.mark.parametrize(
    "url",
    [
        f"redis://{USER}:{PASSWORD}@host:99999",
        f"redis:/{USER}:{PASSWORD}@host",
        f"redis//{USER}:{PASSWORD}@host",
        f"{USER}:{PASSWORD}@host:6379",
        f"http://{USER}:{PASSWORD}@host",
        f"redis://{USER}:{PASSWORD}@",
        f"redis://{USER}:{PASSWORD}@host/x",
        f"redis://{USER}:{PASSWORD}@host/1?unknown={PASSWORD}",
        f"redis://{USER}:{PASSWORD}@host?timeout=soon",
        f"redis://{USER}:{PASSWORD}@host?db=-1",
        f"redis://{USER}:1/{PASSWORD}@host",
        f"redis://{USER}:1?{PASSWORD}@host",
        f"redis://{USER}:1#{PASSWORD}@host",
        f"redis://{USER}:p@ss/{PASSWORD}@host",
        f"redis://{USER}:p@ss?{PASSWORD}@host",
        f"redis://{USER}:p@ss?{PASSWORD}@host=1",
        f"redis://{USER}:%FF{PASSWORD}@host",
        f"redis://{USER}:{PASSWORD}@ho st",
        f"redis://{USER}:{PASSWORD}@[::1",
        f"rediss://{USER}:{PASSWORD}@host?ssl_certfile={LOCALHOST}",
        f"redis+sentinel://{USER}:{PASSWORD}@host",
        f"redis+sentinel://{USER}:{PASSWORD}@host/a/b/c?sentinel_password={PASSWORD}",
        f"redis+cluster://{USER}:{PASSWORD}@host,,host/3",
        f"unix://{USER}:{PASSWORD}@",
        f"\n{PASSWORD}",
        f"redis://{USER}:{PASSWORD}\ud800@host",
        f"redis://{USER}:{PASSWORD}@host\udcff",
    ],
)
def test_a_url_that_can_not_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FluxQueue(url)
    # A chained exception would appear in every log of the chain.
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    shown = [str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)]
    # The last lines of a traceback show the source of this test, not the value.
    assert leaks(*(text for text in shown if "parametrize" not in text)) == []


@pytest.mark.parametrize("module", ["fluxqueue_worker", "fluxqueue_scheduler"])
@pytest.mark.parametrize("by", ["flag", "variable"])
@pytest.mark.parametrize("end", ["@host:99999", "\udcff@host"])
def test_a_service_does_not_repeat_a_url_that_it_can_not_read(
    module: str, by: str, end: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        "from fluxqueue import FluxQueue\nfluxqueue = FluxQueue(None)\n"
    )
    # `subprocess` turns the lone surrogate into a byte that is not UTF-8.
    url = f"redis://{USER}:{PASSWORD}{end}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    environment["FLUXQUEUE_TASKS_MODULE_PATH"] = "app"
    command = [sys.executable, "-m", module]
    if by == "flag":
        command += ["--redis-url", url]
    else:
        environment["FLUXQUEUE_REDIS_URL"] = url
    ended = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert "can't be read" in ended.stderr and ended.stderr.count("\n") == 1
    assert leaks(ended.stderr, ended.stdout) == []


@pytest.mark.parametrize("name", ["FLUXQUEUE_REDIS_URL", "FLUXQUEUE_TIMEOUT"])
def test_a_client_does_not_take_an_undecodable_variable_for_an_unset_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"redis://{USER}:{PASSWORD}\udcff@host")
    with pytest.raises(ConfigurationError, match=f"{name} has bytes that are no UTF-8") as caught:
        FluxQueue(None)
    assert leaks(str(caught.value)) == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("fluxqueue_worker", "FLUXQUEUE_QUEUE"),
        ("fluxqueue_worker", "FLUXQUEUE_TASKS_MODULE_PATH"),
        ("fluxqueue_worker", "FLUXQUEUE_CONCURRENCY"),
        ("fluxqueue_worker", "FLUXQUEUE_LEASE"),
        ("fluxqueue_worker", "FLUXQUEUE_TIMEOUT"),
        ("fluxqueue_worker", "FLUXQUEUE_LOG_LEVEL"),
        ("fluxqueue_scheduler", "FLUXQUEUE_TIMEOUT"),
        ("fluxqueue_scheduler", "FLUXQUEUE_MAX_DELIVERIES"),
    ],
)
def test_an_undecodable_variable_ends_a_service_with_one_line(
    module: str, name: str, tmp_path: Path
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    environment |= {"FLUXQUEUE_TASKS_MODULE_PATH": "app", name: "a\udcff"}
    (tmp_path / "app.py").write_text("from fluxqueue import FluxQueue\nqueue = FluxQueue(None)\n")
    ended = subprocess.run(
        [sys.executable, "-m", module],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr


def all_output(process: LoggingProcess) -> list[str]:
    return [json.dumps(line) for line in process.lines] + process.other_output


@pytest.mark.parametrize("level", ["info", "debug"])
def test_logs_probes_metrics_spans_and_command_lines_of_the_services(
    level: str, server: EmbeddedRedis, tmp_path: Path
) -> None:
    """In order, refused, without Redis; and with a child for the suspects."""
    url = url_of(server)
    ports = free_port(), free_port()
    answers: list[str] = []

    def ask() -> None:
        answers.extend(get(port, path)[1] for port in ports for path in PATHS)

    with (
        Redis.from_url(server.url) as admin,
        SchedulerProcess(tmp_path, url, health_port=ports[0], log_level=level) as scheduler,
        WorkerProcess(
            tmp_path, url, APP, variables=TELEMETRY, health_port=ports[1], log_level=level
        ) as worker,
    ):
        worker.wait_for("worker.connected")
        # An application that shows its client shows nothing.
        admin.lpush(key("pending", "default"), message("shows_its_client"))
        admin.lpush(key("suspects", "default"), message("work", 1, deliveries=2))
        started = worker.wait_for("suspects.started")
        child = psutil.Process(started["pid"])
        # A process has no command line for a moment while it is executed.
        wait_until(lambda: child.cmdline() != [], what=worker.output)
        commands = [" ".join(child.cmdline())]
        assert "--suspects-lane" in commands[0]
        commands += [
            " ".join(psutil.Process(process.pid).cmdline()) for process in (worker, scheduler)
        ]
        worker.wait_for("task.dead")
        wait_until(lambda: worker.notes() == ["1"], what=worker.output)
        ask()
        # The password is changed: both are refused when they connect again.
        admin.execute_command("ACL", "SETUSER", USER, "resetpass", ">another")
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_until(
            lambda: any(
                "WRONGPASS" in line["error"] for line in worker.named("worker.disconnected")
            ),
            what=worker.output,
        )
        scheduler.wait_for("redis.unavailable")
        ask()
        server.kill()
        ask()
        assert scheduler.stop() == 0
        worker.kill()
        assert leaks(*all_output(worker), *all_output(scheduler), *answers, *commands) == []
        assert any("display" in text or "redis://127.0.0.1" in text for text in all_output(worker))


PATHS = ("/livez", "/readyz", "/metrics")


def test_settings_can_not_be_pickled_into_somebodys_file() -> None:
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(Settings(f"redis://{USER}:{PASSWORD}@host"))
