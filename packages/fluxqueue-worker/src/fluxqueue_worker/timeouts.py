"""The deadlines of attempts: ends an attempt at its deadline, and reports one that
does not end.

The core guards a sync task's function (`Deadlines.guard`); the event loop cancels an
async task. One thread watches all deadlines. It starts with the first task that has a
deadline; a task without one costs nothing.

Why: docs/decisions/0031-a-timeout-ends-at-the-next-bytecode.md
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fluxqueue_core import Attempt, Consumer, Deadlines
from fluxqueue_core.errors import TaskTimeout
from fluxqueue_core.exception_text import traceback_of

from .events import TaskEvents

if TYPE_CHECKING:
    import asyncio


class Runner(Protocol):
    """Runs attempts. A token is the identifier of a thread, or an asyncio task."""

    def attempt(self, token: Any, /) -> tuple[Attempt, float] | None: ...
    def stack(self, token: Any, /) -> str: ...


class ThreadRunner(Runner, Protocol):
    """Runs sync attempts."""

    def replace_thread(self) -> None: ...
    def join(self, timeout: float, /) -> bool: ...


class LoopRunner(Runner, Protocol):
    """Runs async attempts."""

    def time_out(self, token: Any, /) -> None: ...


@dataclass(frozen=True)
class Stuck:
    """An attempt that was told to end and did not.

    Attributes:
        started: `perf_counter()` at its beginning.
        timeout: seconds.
    """

    attempt: Attempt
    started: float
    timeout: float

    def error(self) -> TaskTimeout:
        """The error recorded when the worker gives up on the attempt."""
        return TaskTimeout(
            f"the task ran for longer than its timeout of {self.timeout} s, and could not be"
            " interrupted before its worker ended"
        )


class Timeouts:
    """The deadlines of a worker.

    Args:
        grace: seconds after its deadline until an attempt counts as stuck.
        replaces_slots: whether other tasks get the slot of a stuck attempt.
        noticed: the watcher thread calls it when an attempt is stuck.
        crashed: the watcher thread calls it when it fails.

    Attributes:
        pool, loop: run the attempts; set them before the first begins.
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
        self.pool: ThreadRunner | None = None
        self.loop: LoopRunner | None = None
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
        """Gives each call of a sync task's function `timeout` seconds."""
        self._start()
        return self._deadlines.guard(func, timeout)

    def begin(self, running: asyncio.Task[Any], timeout: float) -> int:
        """Begins an async attempt. Returns its id for `end`."""
        self._start()
        return self._deadlines.add(running, timeout)

    def end(
        self,
        deadline: int,
        timeout: float,
        running: asyncio.Task[Any],
        error: BaseException | None,
    ) -> BaseException | None:
        """Ends an async attempt. Returns the error that counts, which is a `TaskTimeout`
        if the attempt was past its deadline, or else `error`."""
        if not self._deadlines.remove(deadline):
            return error
        late = TaskTimeout(f"the task ran for longer than its timeout of {timeout} s")
        if running.cancelled():
            try:
                running.result()
            except BaseException as cancelled:  # noqa: BLE001 - it has the traceback
                trace = traceback_of(cancelled)
                return late.with_traceback(trace.tb_next if trace is not None else None)
        late.__context__ = error
        return late.with_traceback(traceback_of(error) if error is not None else None)

    def stuck(self) -> list[Stuck]:
        """The attempts that are stuck now."""
        for deadline in list(self._stuck):
            if not self._deadlines.runs(deadline):
                self._stuck.pop(deadline, None)
        return list(self._stuck.values())

    def expire(self, patience: float) -> None:
        """Ends all attempts that have a deadline, as if it had passed, and gives the threads
        `patience` seconds. A CPython before 3.14 aborts a program that ends while a thread is in a
        guarded call."""
        if self._thread.ident is not None:
            self._deadlines.expire()
            if self.pool is not None:
                self.pool.join(patience)

    def stop(self) -> None:
        """Stops watching."""
        self._deadlines.stop()

    def join(self, timeout: float) -> bool:
        """Joins the watcher thread after `stop`; returns False if it is still running.

        A CPython before 3.14 aborts the process at its shutdown if such a thread
        returns from Rust then."""
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
        if runner is None or (found := runner.attempt(token)) is None:
            return
        attempt, started = found
        stack = runner.stack(token)
        # If the attempt still runs, the stack just read is its own.
        if not self._deadlines.runs(deadline):
            return
        timeout: float = attempt.task.timeout
        self._stuck[deadline] = Stuck(attempt, started, timeout)
        self._events.stuck(attempt, started, timeout, stack)
        self.give_slot_away(attempt)
        self._noticed()

    def give_slot_away(self, attempt: Attempt) -> None:
        """Gives the slot of an attempt that does not end to other tasks, unless stuck attempts keep
        theirs. Any thread may call it."""
        if not (self._replaces_slots and self._consumer.free_slot(attempt)):
            return
        if self.pool is not None and not attempt.task.is_async:
            self.pool.replace_thread()
