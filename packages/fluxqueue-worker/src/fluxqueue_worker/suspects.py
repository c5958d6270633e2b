"""The suspects' lane: a child process that runs tasks that have lost two workers, one
at a time.

Rule 12: such a task may have killed both workers. In a child process it kills no other
task. The child is an ordinary worker with the hidden flag `--suspects-lane`; it ends
when no suspects are left.

Why: docs/decisions/0013-a-lane-drains-by-sigterm-and-is-cut-short-by-sigint.md
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from fluxqueue_core import Consumer
from fluxqueue_core.service.log import Logger

from .options import Options

if TYPE_CHECKING:
    import subprocess

IDLE_SECONDS = 2.0
# Seconds between two starts of a child that exits with an error; doubled each time.
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0


class Lanes:
    """The parent's side: at most one child per queue.

    Args:
        options: the parent's. The child gets them in its environment, where no
            other user of the machine can read a password.
    """

    def __init__(
        self, options: Options, logger: Logger, clock: Callable[[], float] = monotonic
    ) -> None:
        self._options = options
        self._clock = clock
        self._pauses: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._logger = logger
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self._children)

    def ensure(self, queue: str) -> None:
        """Starts the lane of a queue unless it runs. Call it in the worker's main thread:
        the kernel signals the child when the thread that started it ends."""
        self.reap()
        if self._closed or queue in self._children:
            return
        if self._clock() < self._not_before.get(queue, 0.0):
            return
        import subprocess

        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "fluxqueue_worker", f"--suspects-lane={os.getpid()}"],
                env=self._options.lane_environment(queue),
                cwd=self._options.folder,
                stdin=subprocess.DEVNULL,
                # Ctrl+C goes to the terminal's process group; the parent forwards it.
                process_group=0,
            )
        except OSError as error:
            self._logger.error("suspects.failed", queue=queue, error=str(error))
            return
        self._children[queue] = child
        self._logger.info("suspects.started", queue=queue, pid=child.pid)

    def reap(self) -> None:
        """Collects the children that have ended. After a death, the next `suspects`
        event starts another child."""
        for queue, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            del self._children[queue]
            # A lane is there to be killed by a signal. An exit code means another
            # failure, such as a module that can't be imported any more.
            if code > 0:
                pause = min(self._pauses.get(queue, FIRST_PAUSE / 2) * 2, LONGEST_PAUSE)
                self._pauses[queue] = pause
                self._not_before[queue] = self._clock() + pause
            else:
                self._pauses.pop(queue, None)
            if code == 0:
                self._logger.info("suspects.ended", queue=queue, pid=child.pid)
            else:
                self._logger.warning("suspects.died", queue=queue, pid=child.pid, code=code)

    def close(self) -> None:
        """Starts no more children and lets the running ones drain."""
        self._closed = True
        self._signal(signal.SIGTERM)

    def cut_short(self) -> None:
        """Tells the children to give back the tasks that they run."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Kills the children that have not ended; their tasks are rescued later."""
        self._signal(signal.SIGKILL)
        for child in self._children.values():
            child.wait()
        self.reap()

    def _signal(self, number: int) -> None:
        self.reap()
        for child in self._children.values():
            child.send_signal(number)


def is_idle(consumer: Consumer) -> bool:
    """Whether the lane with this consumer must end: it has run nothing for two seconds.
    Time counts from its first connection, because no task can arrive earlier."""
    idle = consumer.idle_for
    return idle is not None and idle >= IDLE_SECONDS
