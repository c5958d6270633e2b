"""Sync tasks: threads, started one by one as there is work for them.

A thread takes a job, calls the function and settles the job, all by itself;
nothing is handed over. The loop runs more than 100,000 times a second for tasks
that do nothing, which is why it is one long function.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from time import monotonic, perf_counter
from types import CoroutineType, FrameType
from typing import Any

from fluxqueue_core import Job

from .context import build_context
from .events import TaskEvents
from .forked import ForkWatch, leave
from .jobs import Jobs
from .outcomes import Outcomes
from .registered_task import RegisteredTask
from .unawaited import unawaited

# A failed function's traceback begins with the frame of `_Thread._loop`.
OWN_FRAMES = 1
# Seconds until it is tried again to start threads that the system had not to give;
# doubled each time.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class _Thread:
    """One thread, and what it is doing.

    Attributes:
        job: what runs at present.
        started: `perf_counter()` when it began.
    """

    def __init__(self, pool: ThreadPool, number: int) -> None:
        self.job: Job | None = None
        self.started = 0.0
        self._pool = pool
        self.thread = threading.Thread(
            target=self._run, name=f"fluxqueue-task-{number}", daemon=True
        )

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException as error:  # noqa: BLE001 - of the worker, not of a task
            self._pool.crashed(error)

    def _loop(self) -> None:
        pool = self._pool
        take, wants_thread = pool.source.take, pool.source.wants_thread
        succeed, outcomes = pool.source.succeed, pool.outcomes
        fork = pool.fork
        done = pool.events.done if pool.events.logs_success else None
        thread_storage: dict[str, Any] = {}
        while True:
            job = take()
            if job is None:
                return
            if wants_thread():
                pool.start_thread()
            task: RegisteredTask = job.task
            self.job = job
            self.started = started = perf_counter()
            args, kwargs = job.args, job.kwargs
            try:
                if task.context_type is not None:
                    args = [build_context(task.context_type, job, thread_storage), *args]
                result = task.func(*args) if kwargs is None else task.func(*args, **kwargs)
                if result is not None and type(result) is CoroutineType:
                    raise unawaited(result)
            # SystemExit and KeyboardInterrupt are the task's failure as well: no
            # task may end the worker.
            except BaseException as error:  # noqa: BLE001
                if fork.in_child:
                    leave(error)
                outcomes.failed(job, task, error, started, OWN_FRAMES)
            else:
                if fork.in_child:
                    leave(None)
                if not succeed(job):
                    outcomes.void(job, started)
                elif done is not None:
                    done(job, started)
            # While the thread waits, it must not keep the last arguments alive, nor
            # what came of them.
            self.job = job = args = kwargs = result = None  # type: ignore[assignment]


class ThreadPool:
    """The threads of a worker.

    Args:
        source: the consumer.
        crashed: called when a thread ends by an error of the worker itself.
        missed: called in any thread when one could not be started: `retry` is to be
            called in `retry_in()` seconds.
    """

    def __init__(
        self,
        source: Jobs,
        outcomes: Outcomes,
        events: TaskEvents,
        crashed: Callable[[BaseException], None],
        missed: Callable[[], None] = lambda: None,
    ) -> None:
        self.source = source
        self.outcomes = outcomes
        self.events = events
        self.crashed = crashed
        self.fork = ForkWatch()
        self._missed = missed
        self._missing = 0
        self._pause = FIRST_PAUSE
        self._retry_at = 0.0
        self._counting = threading.Lock()
        self._threads: list[_Thread] = []
        self._numbers = itertools.count(1)

    def start_thread(self) -> None:
        """Starts one more thread, which `wants_thread` has asked for. Where the
        system has none to give, the work goes on with those there are until `retry`.

        Raises:
            RuntimeError: not even a first thread can be started.
        """
        if self._missing:
            self._miss()
            return
        thread = _Thread(self, next(self._numbers))
        # Before it starts: it may start the next one before this one goes on.
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
        # The source counts it as started, and so does not ask at every task.
        with self._counting:
            if not self._missing:
                self._retry_at = monotonic() + self._pause
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._missing += 1
        self._missed()

    def retry_in(self) -> float | None:
        """Seconds until `retry` does something; None: all threads are there."""
        return max(0.0, self._retry_at - monotonic()) if self._missing else None

    def retry(self) -> None:
        """Tries again to start the threads that could not be started."""
        if not self._missing or monotonic() < self._retry_at:
            return
        with self._counting:
            missing, self._missing = self._missing, 0
        self.source.give_up_threads(missing)
        # The others are asked for by those that come to work.
        self.replace_thread()

    def replace_thread(self) -> None:
        """Starts another thread for one that is stuck or missing, if a slot is free."""
        if self.source.wants_thread():
            self.start_thread()

    def attempt(self, ident: int) -> tuple[Job, float] | None:
        """What the thread with that identifier runs, and since when."""
        for thread in list(self._threads):
            if thread.thread.ident == ident and (job := thread.job) is not None:
                return job, thread.started
        return None

    @staticmethod
    def stack(ident: int) -> str:
        """Where the task of that thread is at present."""
        import traceback

        frames: list[tuple[FrameType, int]] = []
        frame = sys._current_frames().get(ident)
        while frame is not None and frame.f_code is not _Thread._loop.__code__:
            frames.append((frame, frame.f_lineno))
            frame = frame.f_back
        return "".join(traceback.StackSummary.extract(reversed(frames)).format())

    def running(self) -> list[tuple[Job, float]]:
        """What runs now, with the `perf_counter()` of its beginning."""
        return [(job, t.started) for t in list(self._threads) if (job := t.job) is not None]

    def current_job(self) -> Job | None:
        """What the calling thread runs; None where it is none of ours."""
        ident = threading.get_ident()
        return next((t.job for t in list(self._threads) if t.thread.ident == ident), None)

    def join(self, timeout: float) -> bool:
        """Waits until all threads have ended, at most `timeout` seconds; False
        where one still runs."""
        deadline = monotonic() + timeout
        for thread in list(self._threads):
            if thread.thread.ident is not None:
                thread.thread.join(max(0.0, deadline - monotonic()))
        return not any(thread.thread.is_alive() for thread in self._threads)
