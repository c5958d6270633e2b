"""The suspects' lane: a child process that runs, one at a time, tasks that have
lost their worker twice.

Such a task may be what killed the workers. In a process of its own it takes
nobody along. The child is an ordinary worker with the hidden flag
`--suspects-lane`; it ends by itself when no suspects are left.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from fluxqueue_core import Consumer, Job
from fluxqueue_core.service.log import Logger

from .options import Options

if TYPE_CHECKING:
    import subprocess

IDLE_SECONDS = 2.0
# Seconds between two starts of a child that fails by itself; doubled each time.
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0


class Lanes:
    """The parent's side: at most one child per queue.

    Args:
        options: the parent's, which the child takes over by its environment:
            there no other user of the machine sees a password.
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
        """Starts the lane of a queue unless it runs. Call it in the main thread:
        the child asks to be told when the thread that started it ends."""
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
                # Ctrl+C goes to the terminal's group: the parent passes it on.
                process_group=0,
            )
        except OSError as error:
            self._logger.error("suspects.failed", queue=queue, error=str(error))
            return
        self._children[queue] = child
        self._logger.info("suspects.started", queue=queue, pid=child.pid)

    def reap(self) -> None:
        """Collects the children that have ended. One that died had the poison:
        the next `suspects` event starts another."""
        for queue, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            del self._children[queue]
            # Killed by a signal is what a lane is for. A code is a failure of its
            # own, such as a module that can't be imported any more.
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
        """Starts no more children and lets those there are drain."""
        self._closed = True
        self._signal(signal.SIGTERM)

    def cut_short(self) -> None:
        """Tells the children to give back what they run."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Ends what has not listened; its task is rescued later."""
        self._signal(signal.SIGKILL)
        for child in self._children.values():
            child.wait()
        self.reap()

    def _signal(self, number: int) -> None:
        self.reap()
        for child in self._children.values():
            child.send_signal(number)


class IdleWatch:
    """The child's side: hands a consumer's jobs on, and knows when the last came."""

    def __init__(self, consumer: Consumer, clock: Callable[[], float] = monotonic) -> None:
        self._consumer = consumer
        self._clock = clock
        self._since: float | None = None
        self.succeed = consumer.succeed
        self.wants_thread = consumer.wants_thread
        self.give_up_threads = consumer.give_up_threads
        self.async_fd = consumer.async_fd

    def connected(self) -> None:
        """Time counts from here: before, no task can have come."""
        self._since = self._clock()

    def take(self) -> Job | None:
        job = self._consumer.take()
        self._since = self._clock()
        return job

    def take_async(self) -> Job | None:
        job = self._consumer.take_async()
        if job is not None:
            self._since = self._clock()
        return job

    def idle(self) -> bool:
        """Whether nothing runs and nothing has come for two seconds."""
        if self._consumer.running:
            self._since = self._clock()
            return False
        return self._since is not None and self._clock() - self._since >= IDLE_SECONDS
