"""Sync tasks: threads, started one by one as work arrives for them.

Each thread takes an attempt, calls the function and settles the attempt; no other thread takes
part. The loop is one long function because it runs more than 100,000 times a second
for tasks that do nothing.
"""

from __future__ import annotations

import itertools
import os.path
import sys
import threading
from collections.abc import Callable
from contextvars import Context
from time import monotonic, perf_counter
from types import FrameType
from typing import Any

from fluxqueue_core import Attempt, cancel_call, raise_in_task
from fluxqueue_core.errors import CancelRequested
from fluxqueue_core.exception_text import is_a

from .attempt_contexts import AttemptContexts
from .attempts import Attempts
from .error_text import is_own, own_codes, own_frame
from .events import TaskEvents
from .forked import leave
from .outcomes import Outcomes
from .registered_task import FREE_THREADED, RegisteredTask
from .result_parts import FINISHED
from .unawaited import refuse_unawaited

# Seconds until the pool tries again to start threads that the system could not give;
# each failure doubles it.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class _Thread:
    """One thread, and the attempt that it runs.

    Attributes:
        attempt: the attempt that runs now.
        started: `perf_counter()` at its beginning.
    """

    def __init__(self, pool: ThreadPool, number: int) -> None:
        self.attempt: Attempt | None = None
        self.started = 0.0
        self._pool = pool
        self._storage: dict[str, Any] = {}
        self.thread = threading.Thread(
            target=self._run, name=f"fluxqueue-task-{number}", daemon=True
        )

    def _run(self) -> None:
        try:
            while self._serve():
                pass
        except BaseException as error:  # noqa: BLE001 - of the worker, not of a task
            self._pool.crashed(error)

    def _serve(self) -> bool:
        """Runs attempts in one context until an attempt has changed it. Returns False if there are
        no more attempts."""
        context = self._pool.contexts.new()
        try:
            return context.run(self._loop, context)
        except BaseException as error:
            attempt = self.attempt
            if is_a(error, CancelRequested):
                # It was meant for a task that had just returned, or had not begun.
                if attempt is not None:
                    self._pool.outcomes.failed(attempt, error, self.started)
                self.attempt = None
                return True
            if attempt is None:
                raise
            self._pool.outcomes.recover(attempt, error, self.started)
            self.attempt = None
            return True

    @own_frame
    def _loop(self, context: Context) -> bool:
        pool = self._pool
        changed = pool.contexts.changed
        take, wants_thread = pool.attempts.take, pool.attempts.wants_thread
        outcomes = pool.outcomes
        succeed = outcomes.succeed
        fork = pool.fork
        done = pool.events.done if pool.events.logs_success else None
        thread_storage = self._storage
        while True:
            attempt = take()
            if attempt is None:
                return False
            if wants_thread():
                pool.start_thread()
                # Another thread may have held the GIL meanwhile.
                if attempt.expire():
                    attempt = None
                    continue
            task: RegisteredTask = attempt.task
            self.attempt = attempt
            self.started = started = perf_counter()
            try:
                if (run := task.run) is None:
                    args, kwargs = attempt.args, attempt.kwargs
                    result = task.func(*args) if kwargs is None else task.func(*args, **kwargs)
                else:
                    result = run(attempt, thread_storage)
                if result is not None and type(result) not in FINISHED:
                    refuse_unawaited(result)
            # SystemExit and KeyboardInterrupt count as failures of the task: no task
            # may end the worker.
            except BaseException as error:  # noqa: BLE001
                if fork.in_child:
                    leave(error)
                outcomes.failed(attempt, error, started)
            else:
                if fork.in_child:
                    leave(None)
                if not succeed(attempt):
                    outcomes.void(attempt, started)
                elif done is not None:
                    done(attempt, started)
            # While the thread waits, it must keep neither the last arguments alive nor
            # the last result.
            self.attempt = attempt = args = kwargs = result = None  # type: ignore[assignment]
            # An attempt that sets no variable, as most, leaves an empty context as it was.
            if context and changed(context):
                return True


LOOP_CODE = _Thread._loop.__code__
# Not by pathlib, which nothing else here needs: it takes half a megabyte.
FOLDER = os.path.dirname(__file__)


class ThreadPool:
    """The threads of a worker.

    Args:
        attempts: the consumer.
        crashed: called when an error of the worker itself ends a thread.
        missed: called in any thread when a thread could not be started. Call `retry`
            after `retry_in()` seconds then.
        contexts: makes the contexts of the attempts; by default copies of the caller's.
    """

    def __init__(
        self,
        attempts: Attempts,
        outcomes: Outcomes,
        events: TaskEvents,
        crashed: Callable[[BaseException], None],
        missed: Callable[[], None] = lambda: None,
        contexts: AttemptContexts | None = None,
    ) -> None:
        self.attempts = attempts
        self.outcomes = outcomes
        self.events = events
        self.crashed = crashed
        self.fork = outcomes.fork
        self.contexts = AttemptContexts() if contexts is None else contexts
        self._missed = missed
        self._missing = 0
        self._pause = FIRST_PAUSE
        self._retry_at = 0.0
        self._counting = threading.Lock()
        self._threads: list[_Thread] = []
        self._numbers = itertools.count(1)

    def start_thread(self) -> None:
        """Starts one more thread, which `wants_thread` has asked for. If the system
        can't give one, the existing threads go on alone until `retry`.

        Raises:
            RuntimeError: not even the first thread can be started.
        """
        if self._missing:
            self._miss()
            return
        thread = _Thread(self, next(self._numbers))
        # Listed before it starts: it may start another thread before this line returns.
        self._threads.append(thread)
        try:
            thread.thread.start()
        except RuntimeError as error:
            self._threads.remove(thread)
            if not self._threads:
                raise
            self.events.no_thread(len(self._threads), error)
            self._miss()
        else:
            self._pause = FIRST_PAUSE

    def _miss(self) -> None:
        # The consumer counts it as started, and so does not ask at every task.
        with self._counting:
            if not self._missing:
                self._retry_at = monotonic() + self._pause
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._missing += 1
        self._missed()

    def retry_in(self) -> float | None:
        """Seconds until `retry` does something; None if no thread is missing."""
        return max(0.0, self._retry_at - monotonic()) if self._missing else None

    def retry(self) -> None:
        """Tries again to start the threads that could not be started."""
        if not self._missing or monotonic() < self._retry_at:
            return
        with self._counting:
            missing, self._missing = self._missing, 0
        self.attempts.give_up_threads(missing)
        # The threads that start now ask for the others.
        self.replace_thread()

    def replace_thread(self) -> None:
        """Starts a thread in place of a stuck or missing one, if a slot is free."""
        if self.attempts.wants_thread():
            self.start_thread()

    def attempt(self, ident: int) -> tuple[Attempt, float] | None:
        """The attempt of the thread with that identifier, and when the attempt began."""
        for thread in list(self._threads):
            if thread.thread.ident == ident and (attempt := thread.attempt) is not None:
                return attempt, thread.started
        return None

    @staticmethod
    def stack(ident: int) -> str:
        """The stack of the task that runs in that thread."""
        import traceback

        frames: list[tuple[FrameType, int]] = []
        frame = sys._current_frames().get(ident)
        while frame is not None and frame.f_code is not _Thread._loop.__code__:
            frames.append((frame, frame.f_lineno))
            frame = frame.f_back
        below = itertools.dropwhile(lambda found: is_own(found[0]), reversed(frames))
        return "".join(traceback.StackSummary.extract(below).format())

    def cancel(self, attempt: Attempt) -> bool:
        """Makes the attempt's thread raise `CancelRequested` in its task. Returns False if the
        thread is not in the task's code now."""
        for thread in list(self._threads):
            if thread.attempt is attempt and (ident := thread.thread.ident) is not None:
                if FREE_THREADED:
                    return cancel_call(thread, attempt, ident)
                return raise_in_task(thread, attempt, ident, LOOP_CODE, own_codes(), FOLDER)
        return False

    def stack_of(self, attempt: Attempt) -> str:
        """The stack of an attempt's task."""
        idents = (t.thread.ident for t in list(self._threads) if t.attempt is attempt)
        return next((self.stack(ident) for ident in idents if ident is not None), "")

    def running(self) -> list[tuple[Attempt, float]]:
        """The attempts that run now, each with the `perf_counter()` of its beginning."""
        return [
            (attempt, t.started) for t in list(self._threads) if (attempt := t.attempt) is not None
        ]

    def current_attempt(self) -> Attempt | None:
        """The attempt of the calling thread; None if the thread is not in this pool."""
        ident = threading.get_ident()
        return next((t.attempt for t in list(self._threads) if t.thread.ident == ident), None)

    def join(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds until all threads have ended. Returns False if
        one still runs."""
        deadline = monotonic() + timeout
        for thread in list(self._threads):
            if thread.thread.ident is not None:
                thread.thread.join(max(0.0, deadline - monotonic()))
        return not any(thread.thread.is_alive() for thread in self._threads)
