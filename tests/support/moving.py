"""The examples of docs/migrate, as processes: an application that moves to FluxQueue."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from .distributions import ROOT
from .peer_environment import peer_environment
from .programs import Program

EXAMPLES = ROOT / "examples/migrate"


@dataclass(frozen=True)
class Peer:
    """Another task queue, as its page starts and watches it.

    Attributes:
        worker: the command of its worker; {url} stands for Redis, {folder} for that of the test.
        clock: the command that enqueues periodic tasks; None if the worker does it.
        ready: how many tasks wait in Redis or run, given a client.
        delayed: how many have a time in the future.
        clock_delays: whether the clock enqueues the delayed tasks too.
    """

    worker: str
    clock: str | None
    ready: Callable[[Any], int]
    delayed: Callable[[Any], int]
    clock_delays: bool = False


def _stream_ready(redis: Any) -> int:
    [group] = redis.xinfo_groups("taskiq")
    return int(group["lag"] or 0) + int(group["pending"])


PEERS = {
    "celery": Peer(
        "celery -A tasks worker -c 2",
        "celery -A tasks beat -s {folder}/beat",
        lambda redis: int(redis.llen("celery")),
        # Those with a time in the future, and those that a worker holds for another reason.
        lambda redis: int(redis.hlen("unacked")),
    ),
    "rq": Peer(
        "rq worker --with-scheduler -u {url}",
        "rq cron schedule.py -u {url}",
        lambda redis: int(
            redis.llen("rq:queue:default")
            + redis.llen("rq:queue:default:intermediate")
            + redis.zcard("rq:wip:default")
        ),
        lambda redis: int(redis.zcard("rq:scheduled:default")),
    ),
    "dramatiq": Peer(
        "dramatiq tasks -p 1 -t 2",
        "python clock.py",
        lambda redis: int(redis.hlen("dramatiq:default.msgs")),
        lambda redis: int(redis.hlen("dramatiq:default.DQ.msgs")),
    ),
    "arq": Peer(
        "arq tasks.WorkerSettings",
        None,
        lambda redis: 0,  # its worker ends what runs
        lambda redis: int(redis.zcard("arq:queue")),
    ),
    "taskiq": Peer(
        "taskiq worker tasks:broker --workers 1",
        "taskiq scheduler tasks:scheduler --update-interval 1",
        _stream_ready,
        lambda redis: sum(1 for _ in redis.scan_iter("schedule:data:*")),
        clock_delays=True,
    ),
}


class Move:
    """The processes of one application; all end with the `with` block."""

    def __init__(
        self, name: str, folder: Path, redis_url: str, variables: Mapping[str, str]
    ) -> None:
        self._example, self._folder, self._redis_url = EXAMPLES / name, folder, redis_url
        self._environment = peer_environment(name)
        self._stack = ExitStack()
        urls = {"REDIS_URL": redis_url, "FLUXQUEUE_REDIS_URL": redis_url}
        self._variables = urls | dict(variables)

    def moves_at(self, moment: int) -> None:
        """Sets MOVE_AT of the processes that follow, in s since 1970."""
        self._variables["MOVE_AT"] = datetime.fromtimestamp(moment, UTC).isoformat()

    def start(self, step: str, command: str, log: str) -> Program:
        """Starts a command of the environment, in the folder of a step of the example."""
        name, *words = command.format(url=self._redis_url, folder=self._folder).split()
        return self._start([self._environment.bin / name, *words], self._example / step, log)

    def start_scheduler(self) -> None:
        """Starts FluxQueue's scheduler from the environment of the tests: it needs no code."""
        self._start([sys.executable, "-m", "fluxqueue_scheduler"], self._folder, "scheduler")

    def _start(self, command: list[str | Path], folder: Path, log: str) -> Program:
        program = Program(command, folder, self._folder / log, self._variables)
        return self._stack.enter_context(program)

    def place(self, step: str, *orders: int, to: str = "the old queue") -> None:
        """Runs the program that places orders."""
        subprocess.run(
            [self._environment.python, "shop.py", *map(str, orders)],
            cwd=self._example / step,
            env=self._variables | {"SHOP_QUEUE": to},
            check=True,
        )

    def runs(self, log: str) -> list[str]:
        """Each run of a task of an order, such as `order 1: confirmed`, sorted."""
        # Two threads that print at once may share a line.
        return sorted(re.findall(r"order \d+: (?:confirmed|reminded)", self._read(log)))

    def counts(self, log: str) -> list[float]:
        """When the periodic task has run, in s since 1970."""
        return [float(at) for at in re.findall(r"stock counted at (\d+\.\d+)", self._read(log))]

    def _read(self, log: str) -> str:
        file = self._folder / log
        return file.read_text() if file.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
