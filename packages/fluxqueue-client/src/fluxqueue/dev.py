"""`fluxqueue dev`: Redis, scheduler, worker and dashboard in one terminal."""

from __future__ import annotations

import importlib.util
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from fluxqueue_core import Settings
from fluxqueue_core.service.command_line import USAGE_ERROR, Parser, fail
from fluxqueue_core.service.common_settings import LOG_FORMAT, NAMESPACE
from fluxqueue_core.service.setting import Setting, yes_or_no

from . import dev_redis
from .child_process import bound_to_parent
from .embedded import EmbeddedRedis, RedisNotFound, RedisNotStarted
from .errors import ConfigurationError
from .installing import how_to_install

_SCHEDULER_STOP_SECONDS = 10.0
_NEEDED = {"fluxqueue_worker": "fluxqueue-worker", "fluxqueue_scheduler": "fluxqueue-scheduler"}

REDIS_URL = Setting(
    flags=("-r", "--redis-url"),
    env="FLUXQUEUE_REDIS_URL",
    default="",
    parse=str,
    metavar="URL",
    help="the Redis to use, by default the one in the code, else redis://127.0.0.1:6379; if"
    " nothing listens there, `fluxqueue dev` starts one, provided that the URL is"
    " redis://127.0.0.1 or redis://localhost, with any port and a database below 1024",
)
DASHBOARD = Setting(
    flags=("--dashboard",),
    env="FLUXQUEUE_DEV_DASHBOARD",
    default=True,
    parse=yes_or_no,
    help="serve the dashboard too, if fluxqueue-dashboard is installed, at http://127.0.0.1:8150"
    " (FLUXQUEUE_DASHBOARD_PORT names another port)",
)
# The number of a signal, or the name of the child that has ended.
Event = int | str


def main(argv: list[str], prog: str = "fluxqueue dev") -> int:
    """Runs until Ctrl+C or SIGTERM, and returns 0; or until one of the parts ends, and
    returns another number."""
    parser = Parser(
        prog=prog,
        description="Run Redis, scheduler, worker and dashboard in one terminal, for development.",
        epilog="Other options go to the worker; see `fluxqueue start --help`.",
    )
    parser.add_argument(
        "-t",
        "--tasks-module-path",
        action="append",
        metavar="PATHS",
        help="the modules with the tasks, comma-separated or each with its own -t: myapp.tasks,"
        " myapp/tasks.py or myapp.tasks:fluxqueue (FLUXQUEUE_TASKS_MODULE_PATH)",
    )
    parser.add_argument("-c", "--concurrency", metavar="N", help="tasks that run at once")
    parser.add_argument(
        "-q",
        "--queue",
        action="append",
        metavar="NAMES",
        help="queues, in order of priority (FLUXQUEUE_QUEUE; all that the modules declare)",
    )
    parser.add_setting("redis_url", REDIS_URL)
    parser.add_setting("namespace", NAMESPACE)
    parser.add_setting("log_format", LOG_FORMAT)
    parser.add_setting("dashboard", DASHBOARD)
    known, others = parser.parse_known_args(argv)
    missing = [package for module, package in _NEEDED.items() if not _is_installed(module)]
    if missing:
        fail(prog, f"needs {' and '.join(missing)}, not installed; {how_to_install(*missing)}")
    worker_options = list(others)
    queues = known.queue or ([] if os.environ.get("FLUXQUEUE_QUEUE") else ["*"])
    given = {"-t": known.tasks_module_path or [], "-q": queues}
    for flag, values in given.items():
        worker_options += [word for value in values for word in (flag, value)]
    if known.concurrency is not None:
        worker_options += ["-c", known.concurrency]
    try:
        # Also in a pipe, as of `fluxqueue dev | grep`: a person reads the lines.
        log_format = "console" if known.log_format == "auto" else known.log_format
        has_dashboard = known.dashboard and _is_installed("fluxqueue_dashboard")
        dev = _Dev(prog, worker_options, log_format, has_dashboard)
        return dev.run(known.redis_url, known.namespace)
    except (ConfigurationError, RedisNotFound, RedisNotStarted) as error:
        fail(prog, str(error))


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


class _Dev:
    def __init__(
        self, prog: str, worker_options: Sequence[str], log_format: str, has_dashboard: bool
    ) -> None:
        self._prog = prog
        self._has_dashboard = has_dashboard
        self._worker_options = worker_options
        # Signal handlers also put events here: a SimpleQueue is safe for that.
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        # Both processes can't listen on one port, so there is no health endpoint.
        self._environment = os.environ | {
            "FLUXQUEUE_HEALTH_PORT": "0",
            LOG_FORMAT.env: log_format,
        }
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, redis_url: str, namespace: str | None) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        named = redis_url
        if namespace is not None:
            self._environment[NAMESPACE.env] = namespace
        if named:
            self._environment[REDIS_URL.env] = named
        if not named or namespace is None:
            in_code, namespace, code = self._ask_code()
            if code is not None:
                return code
            redis_url = named or in_code
        settings = Settings(redis_url or None)
        redis = dev_redis.provide(settings, self._say, lambda: not self._events.empty())
        if redis is not None:
            self._watch("Redis", redis.wait)
        if named and named != os.environ.get(REDIS_URL.env):
            url = "the same URL" if settings.password else settings.display_url
            self._say(
                f"for the application, if its code names no URL: export {REDIS_URL.env}={url}"
            )
        self._environment[REDIS_URL.env] = redis_url or settings.url
        # The worker knows its code.
        scheduler_options = ["--namespace", namespace] if namespace else []
        try:
            self._start("scheduler", "fluxqueue_scheduler", *scheduler_options)
            self._start("worker", "fluxqueue_worker", *self._worker_options)
            if self._has_dashboard:
                # Work goes on without it, such as if another process has its port.
                options = [*scheduler_options, "--anyone", "operator"]
                self._launch("dashboard", "fluxqueue_dashboard", *options)
            event = self._events.get()
            self._say("stopping" if isinstance(event, int) else self._obituary(event, redis))
            # This precedes the stop of the other parts, whose end is not a failure.
            code = 0 if isinstance(event, int) else self._failure(event)
            self._stop_children()
            return code
        finally:
            for child in self._children.values():
                child.kill()
            if redis is not None:
                redis.stop()

    def _ask_code(self) -> tuple[str, str, int | None]:
        """Asks a worker for the URL that the modules name and for its namespace, as only
        their import shows them.

        Returns:
            The URL; empty if they name none, or raise an exception, which the real worker
            will print. The namespace; empty if it is the default one. And the exit code, if
            this command can't go on.
        """
        reader, writer = os.pipe()
        with open(reader) as told, tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(
                bound_to_parent(
                    [sys.executable, "-m", "fluxqueue_worker", *self._worker_options]
                    + [f"--tell-redis={writer}"]
                ),
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                process_group=0,
                pass_fds=(writer,),
            )
            os.close(writer)
            self._watch("its answer", child.wait)
            if isinstance(self._events.get(), int):
                child.kill()
                self._say("stopping")
                return "", "", 0
            if child.returncode == USAGE_ERROR:
                errors.seek(0)
                text = errors.read().decode(errors="replace")
                # The user has typed this command, not the worker's.
                if text.startswith("fluxqueue-worker: "):
                    text = self._prog + text.removeprefix("fluxqueue-worker")
                sys.stderr.write(text)
                return "", "", USAGE_ERROR
            url, _, namespace = told.read().partition("\n")
            return url, namespace, None

    def _start(self, name: str, module: str, *options: str) -> None:
        self._watch(name, self._launch(name, module, *options).wait)

    def _launch(self, name: str, module: str, *options: str) -> subprocess.Popen[bytes]:
        # The child has a separate process group. So only this process gets Ctrl+C, and it
        # stops the parts in order.
        child = subprocess.Popen(
            bound_to_parent([sys.executable, "-m", module, *options]),
            env=self._environment,
            process_group=0,
        )
        self._children[name] = child
        return child

    def _watch(self, name: str, wait: Callable[[], object]) -> None:
        def watch() -> None:
            wait()
            self._events.put(name)

        threading.Thread(target=watch, name=f"watch-{name}", daemon=True).start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._events.put(number)

    def _stop_children(self) -> None:
        """Stops the worker, then the scheduler: the worker still sends its outcomes to
        Redis, and its retries wait for a scheduler. Another signal cuts the worker's drain
        short, as it does if you run a worker alone."""
        if "dashboard" in self._children:
            self._children["dashboard"].terminate()
        worker, scheduler = self._children["worker"], self._children["scheduler"]
        worker.terminate()
        while worker.poll() is None:
            if isinstance(self._events.get(), int):
                worker.terminate()
        scheduler.terminate()
        try:
            scheduler.wait(_SCHEDULER_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._say("the scheduler does not end; killing it")

    def _failure(self, name: str) -> int:
        child = self._children.get(name)
        code = child.returncode if child is not None else None
        return code if code is not None and code > 0 else 1

    def _obituary(self, name: str, redis: EmbeddedRedis | None) -> str:
        child = self._children.get(name)
        code = child.returncode if child is not None else redis.returncode if redis else None
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = f"signal {signal.Signals(-code).name}"
        return f"{name} has ended ({how}); stopping the rest"

    def _say(self, text: str) -> None:
        print(f"{self._prog}: {text}", file=sys.stderr, flush=True)
