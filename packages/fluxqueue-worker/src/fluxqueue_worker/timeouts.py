"""How long an attempt may take: what happens at its deadline, and to what does
not end then.

A sync task's function is guarded by the core (`Deadlines.guard`); an async task
is cancelled by the event loop. One thread watches all deadlines; it starts with
the first task that has one, and nothing is done for those that have none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Consumer, Deadlines, Job
from fluxqueue_core.errors import TaskTimeout

from .events import TaskEvents

if TYPE_CHECKING:
    import asyncio

    from .eventloop import EventLoop
    from .threads import ThreadPool


@dataclass(frozen=True)
class Stuck:
    """An attempt that was told to end and did not.

    Attributes:
        started: `perf_counter()` when it began.
        timeout: seconds.
    """

    job: Job
    started: float
    timeout: float

    def error(self) -> TaskTimeout:
        """What it failed of, where it is given up."""
        return TaskTimeout(
            f"the task ran for longer than its timeout of {self.timeout} s, and could not be"
            " interrupted before its worker ended"
        )


class Timeouts:
    """The deadlines of a worker.

    Args:
        grace: seconds from its deadline after which an attempt is stuck.
        replaces_slots: whether the slot of a stuck attempt goes to others.
        noticed: called in the watching thread when an attempt is stuck.
        crashed: called there when the watching fails.

    Attributes:
        pool, loop: who runs the attempts; set before the first begins.
    """

    def __init__(
        self,
        consumer: Consumer,
        events: TaskEvents,
        grace: float,
        replaces_slots: bool,
        noticed: Callable[[], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        self.pool: ThreadPool | None = None
        self.loop: EventLoop | None = None
        self._consumer = consumer
        self._events = events
        self._replaces_slots = replaces_slots
        self._noticed = noticed
        self._crashed = crashed
        self._deadlines = Deadlines(grace)
        self._stuck: dict[int, Stuck] = {}
        self._thread = threading.Thread(target=self._run, name="fluxqueue-timeouts", daemon=True)
        self._starting = threading.Lock()

    def guard(self, func: Callable[..., Any], timeout: float) -> Callable[..., Any]:
        """A sync task's function, each call of which has `timeout` seconds."""
        self._start()
        return self._deadlines.guard(func, timeout)

    def begin(self, running: asyncio.Task[Any], timeout: float) -> int:
        """An async attempt begins; for `end`."""
        self._start()
        return self._deadlines.add(running, timeout)

    def end(
        self,
        deadline: int,
        timeout: float,
        running: asyncio.Task[Any],
        error: BaseException | None,
    ) -> BaseException | None:
        """It has ended with `error`; with what it counts as ended."""
        if not self._deadlines.remove(deadline):
            return error
        late = TaskTimeout(f"the task ran for longer than its timeout of {timeout} s")
        if running.cancelled():
            try:
                running.result()
            except BaseException as cancelled:  # noqa: BLE001 - for its traceback
                trace = cancelled.__traceback__
                return late.with_traceback(trace.tb_next if trace is not None else None)
        late.__context__ = error
        return late.with_traceback(error.__traceback__ if error is not None else None)

    def stuck(self) -> list[Stuck]:
        """The attempts that are stuck at present."""
        for deadline in list(self._stuck):
            if not self._deadlines.runs(deadline):
                self._stuck.pop(deadline, None)
        return list(self._stuck.values())

    def stop(self) -> None:
        """Watches no more."""
        self._deadlines.stop()

    def join(self, timeout: float) -> bool:
        """Waits so many seconds for the thread that watches, after `stop`. False: it
        goes on. A CPython before 3.14 that shuts down aborts the process where such a
        thread comes back from Rust."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _start(self) -> None:
        with self._starting:
            if self._thread.ident is None:
                self._thread.start()

    def _run(self) -> None:
        try:
            while (found := self._deadlines.wait()) is not None:
                for deadline, token, is_stuck in found:
                    if is_stuck:
                        self._report(deadline, token)
                    elif self.loop is not None:
                        self.loop.time_out(token)
        except BaseException as error:  # noqa: BLE001 - of the worker, not of a task
            self._crashed(error)

    def _report(self, deadline: int, token: Any) -> None:
        runner = self.pool if isinstance(token, int) else self.loop
        if runner is None or (attempt := runner.attempt(token)) is None:
            return
        job, started = attempt
        stack = runner.stack(token)
        # What was read just now is of this attempt if it still runs.
        if not self._deadlines.runs(deadline):
            return
        timeout: float = job.task.timeout
        self._stuck[deadline] = Stuck(job, started, timeout)
        self._events.stuck(job, started, timeout, stack)
        if self._replaces_slots and self._consumer.free_slot(job) and runner is self.pool:
            runner.replace_thread()
        self._noticed()
