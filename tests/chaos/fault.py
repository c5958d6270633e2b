"""The `FAULT` that each file in `faults/` defines. README.md explains it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .recovery import Recovery
    from .stack import Stack

WORKER, SCHEDULER, CLIENT = "worker", "scheduler", "client"
ROLES = (WORKER, SCHEDULER, CLIENT)


class FaultFailed(RuntimeError):
    """The fault did not do what it is there for, so the trial shows nothing."""


def _nothing(role: str, number: int, folder: Path) -> Mapping[str, str]:
    return {}


def _plain_folder(folder: Path) -> AbstractContextManager[Path]:
    return nullcontext(folder)


def _always() -> str | None:
    return None


@dataclass(frozen=True)
class Setup:
    """The setup that a fault needs before the processes start.

    Attributes:
        appendfsync: of Redis.
        redis_options: more of redis.conf.
        proxied: the roles that reach Redis through a proxy, each process
            through its own one (`Stack.proxy_of`).
        environment: (role, number, folder) -> variables of that process. Role
            is one of ROLES or "redis".
        redis_folder: a context that makes the folder for the data of Redis out
            of the folder of the run.
        tasks: source that is added to the application, where `fluxqueue`,
            `ledger`, `Context`, `os` and `time` are known (`application.py`).
        missing: says what this machine lacks, or None. Such a fault is skipped,
            and fails under CI=true.
    """

    appendfsync: str = "everysec"
    redis_options: Mapping[str, str] = field(default_factory=dict)
    proxied: frozenset[str] = frozenset()
    environment: Callable[[str, int, Path], Mapping[str, str]] = _nothing
    redis_folder: Callable[[Path], AbstractContextManager[Path]] = _plain_folder
    tasks: str = ""
    missing: Callable[[], str | None] = _always


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        title: how the table names it.
        inject: does it once, and undoes it; says how recovery is recognized.
            It blocks as long as the fault lasts. All chance comes from the
            generator that it is given.
        setup: see `Setup`.
        trials: how many one run makes one after another.
        kills: whether `--kills` counts it.
        mixes: whether `mixed` may do it at the same time as others.
        limit: seconds that recovery may take; longer is a violation.
        seconds: about how long a trial takes; the longest runs are made first.
    """

    title: str
    inject: Callable[[Stack, random.Random], Recovery]
    setup: Setup = Setup()
    trials: int = 1
    kills: bool = False
    mixes: bool = False
    limit: float = 60.0
    seconds: float = 5.0
