"""The limits at which a worker process drains, so that a fresh one replaces it.

Why: docs/decisions/0033-limits-end-a-process-and-a-supervisor-starts-the-next.md
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from fluxqueue_core import Consumer
from fluxqueue_core.errors import ConfigurationError

from .options import Options
from .retry_rules import chance

if TYPE_CHECKING:
    from .timeouts import Timeouts

MIB = 1 << 20
# Seconds between two looks at a value whose changes cause no event.
INTERVAL = 0.5


def max_tasks(options: Options) -> int | None:
    """The number of tasks that this process begins; None for any number.

    If several processes share the work evenly, each takes a random part of up to a tenth
    less, so that they are not all replaced at once.
    """
    if not options.max_tasks:
        return None
    spread = options.max_tasks // 10 if options.processes > 1 else 0
    return options.max_tasks - int(chance() * (spread + 1))


class Limits:
    """The limits of this process.

    Raises:
        ConfigurationError: its memory exceeds the limit before the first task, or
            can't be measured on this system.
    """

    def __init__(
        self,
        options: Options,
        consumer: Consumer,
        timeouts: Timeouts,
        rss: Callable[[], int] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._options = options
        self._consumer = consumer
        self._timeouts = timeouts
        self._rss = resident_bytes if rss is None else rss
        self._clock = clock
        self._look_again = clock()
        self.any = bool(options.max_tasks or options.max_rss or options.max_stuck)
        if options.max_rss and (now := self._mib()) >= options.max_rss:
            raise ConfigurationError(
                f"--max-rss {options.max_rss}: the worker has {now} MiB before its first task; "
                f"give a limit well above that"
            )

    def reached(self) -> str | None:
        """The limit that this process has reached, for the log."""
        if not self.any:
            return None
        if self._options.max_tasks and self._consumer.exhausted:
            return f"{self._options.max_tasks} tasks"
        most = self._options.max_stuck
        if most and (stuck := len(self._timeouts.stuck())) >= most:
            return f"{stuck} stuck tasks"
        if self._options.max_rss and self._clock() >= self._look_again:
            self._look_again = self._clock() + INTERVAL
            if (now := self._mib()) >= self._options.max_rss:
                return f"{now} MiB of memory"
        return None

    def _mib(self) -> int:
        return self._rss() // MIB


def resident_bytes() -> int:
    """The resident set of this process, in bytes: field 2 of /proc/self/statm,
    proc(5).

    Raises:
        ConfigurationError: this system has no /proc.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
    except OSError:
        raise ConfigurationError("--max-rss needs /proc, which this system has not") from None
    return pages * os.sysconf("SC_PAGE_SIZE")
