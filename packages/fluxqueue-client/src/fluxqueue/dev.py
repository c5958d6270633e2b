"""`fluxqueue dev`: Redis, scheduler and worker in one terminal."""

from __future__ import annotations

import importlib.util
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from fluxqueue_core import DEFAULT_REDIS_URL, Settings
from fluxqueue_core.service.command_line import Parser, fail
from fluxqueue_core.service.setting import Setting

from .child_process import bound_to_parent
from .embedded import EmbeddedRedis, RedisNotFound, RedisNotStarted
from .errors import ConfigurationError

_DEFAULT_PORT = 6379
_FOLDER = ".fluxqueue/redis"
_SCHEDULER_STOP_SECONDS = 10.0
_NEEDED = {"fluxqueue_worker": "fluxqueue-worker", "fluxqueue_scheduler": "fluxqueue-scheduler"}

REDIS_URL = Setting(
    flags=("-r", "--redis-url"),
    env="FLUXQUEUE_REDIS_URL",
    default="",
    parse=str,
    metavar="URL",
    help="a Redis that runs already; by default `fluxqueue dev` starts one",
)
# The number of a signal, or the name of the child that has ended.
Event = int | str


def main(argv: list[str], prog: str = "fluxqueue dev") -> int:
    """Runs until Ctrl+C or SIGTERM, and returns 0; or until one of the parts ends, and
    returns another number."""
    parser = Parser(
        prog=prog,
        description="Run Redis, scheduler and worker in one terminal, for development.",
        epilog="Other options go to the worker; see `fluxqueue start --help`.",
    )
    parser.add_argument(
        "-t",
        "--tasks-module-path",
        metavar="PATH",
        help="the module with the tasks: myapp.tasks, myapp/tasks.py or myapp.tasks:fluxqueue",
    )
    parser.add_argument("-c", "--concurrency", metavar="N", help="tasks that run at once")
    parser.add_argument("-q", "--queue", metavar="NAMES", help="queues, in order of priority")
    parser.add_setting("redis_url", REDIS_URL)
    known, others = parser.parse_known_args(argv)
    missing = [package for module, package in _NEEDED.items() if not _is_installed(module)]
    if missing:
        names = " ".join(missing)
        fail(prog, f"needs {names}, not installed; run `pip install {names}`")
    worker_options = list(others)
    given = {"-t": known.tasks_module_path, "-c": known.concurrency, "-q": known.queue}
    for flag, value in given.items():
        if value is not None:
            worker_options += [flag, value]
    try:
        return _Dev(prog, worker_options).run(known.redis_url)
    except (ConfigurationError, RedisNotFound, RedisNotStarted) as error:
        fail(prog, str(error))


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


class _Dev:
    def __init__(self, prog: str, worker_options: Sequence[str]) -> None:
        self._prog = prog
        self._worker_options = worker_options
        # Signal handlers also put events here: a SimpleQueue is safe for that.
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        # Both processes can't listen on one port, so there is no health endpoint.
        self._environment = os.environ | {"FLUXQUEUE_HEALTH_PORT": "0"}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, redis_url: str) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        redis = None
        if redis_url:
            self._say(f"using Redis on {Settings(redis_url).display_url}")
        else:
            redis = self._start_redis()
            redis_url = redis.url
        self._environment["FLUXQUEUE_REDIS_URL"] = redis_url
        try:
            self._start("scheduler", "fluxqueue_scheduler")
            self._start("worker", "fluxqueue_worker", *self._worker_options)
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

    def _start_redis(self) -> EmbeddedRedis:
        try:
            redis = EmbeddedRedis(_FOLDER, port=_DEFAULT_PORT).start()
        except RedisNotStarted as error:
            if "in use" not in str(error):
                raise
            redis = EmbeddedRedis(_FOLDER).start()
        self._say(f"Redis runs on {redis.url}, its data in {_FOLDER}")
        if redis.url != DEFAULT_REDIS_URL:
            self._say(
                f"port {_DEFAULT_PORT} is taken; for the application, which reads it where it "
                f"says FluxQueue(None): export FLUXQUEUE_REDIS_URL={redis.url}"
            )
        self._watch("Redis", redis.wait)
        return redis

    def _start(self, name: str, module: str, *options: str) -> None:
        # The child has a separate process group. So only this process gets Ctrl+C, and it
        # stops the parts in order.
        child = subprocess.Popen(
            bound_to_parent([sys.executable, "-m", module, *options]),
            env=self._environment,
            process_group=0,
        )
        self._children[name] = child
        self._watch(name, child.wait)

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
