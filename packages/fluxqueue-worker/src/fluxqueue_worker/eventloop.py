"""Async tasks: one event loop in a thread of its own.

Each job is a plain asyncio task of the application's coroutine, without a
wrapper around it. It begins where it is made (see `first_step`); what ends there
is settled there, and what waits for something by the callback at its end.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from time import perf_counter
from types import CoroutineType
from typing import Any

from fluxqueue_core import Job
from fluxqueue_core.errors import TaskTimeout

from .context import build_context
from .events import TaskEvents
from .first_step import FirstSteps
from .forked import ForkWatch, leave
from .jobs import Jobs
from .outcomes import Outcomes
from .registered_task import RegisteredTask
from .unawaited import unawaited

# Seconds for which jobs are begun before the loop's other work has its turn.
TURN = 0.002
# Where a call raises before there is a coroutine: the frame of `_begin`.
OWN_FRAMES = 1


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's loop, or asyncio's where uvloop does not exist."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class EventLoop:
    """The loop, its thread and the jobs that run there.

    Args:
        source: the consumer.
        crashed: called when the thread ends by an error of the worker itself.
    """

    def __init__(
        self,
        source: Jobs,
        outcomes: Outcomes,
        events: TaskEvents,
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._source = source
        self._outcomes = outcomes
        self._events = events
        self._crashed = crashed
        # With the id of its deadline, if it has one.
        self._running: dict[asyncio.Task[Any], tuple[Job, float, int | None]] = {}
        self._cancelled_by_us: set[asyncio.Task[Any]] = set()
        self._thread_storage: dict[str, Any] = {}
        self._stopping = False
        self._fork = ForkWatch()
        self._loop = new_event_loop()
        self._first_steps = FirstSteps(self._loop)
        self._thread = threading.Thread(target=self._run, name="fluxqueue-loop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.add_reader(self._source.async_fd, self._pump)
            while not self._stopping:
                # A task that raises SystemExit or KeyboardInterrupt, or calls
                # loop.stop(), ends run_forever. The job is settled as any other.
                try:
                    self._loop.run_forever()
                except (SystemExit, KeyboardInterrupt):
                    continue
            self._close()
        except BaseException as error:  # noqa: BLE001 - of the worker, not of a task
            self._crashed(error)

    def _close(self) -> None:
        self._loop.remove_reader(self._source.async_fd)
        leftover = asyncio.all_tasks(self._loop)
        for task in leftover:
            task.cancel()
        if leftover:
            # What ignores this is left behind: the process is about to end.
            self._loop.run_until_complete(asyncio.wait(leftover, timeout=1.0))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _pump(self) -> None:
        try:
            ends = perf_counter() + TURN
            # The descriptor stays readable until there is no more to begin.
            while (job := self._source.take_async()) is not None:
                started = perf_counter()
                self._begin(job, started)
                if started > ends:
                    break
        except BaseException as error:  # noqa: BLE001 - of the worker, not of a task
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        # asyncio would only log what a callback raises, and call it again.
        self._loop.remove_reader(self._source.async_fd)
        self._crashed(error)

    def _begin(self, job: Job, started: float) -> None:
        task: RegisteredTask = job.task
        args, kwargs = job.args, job.kwargs
        try:
            if task.context_type is not None:
                args = [build_context(task.context_type, job, self._thread_storage), *args]
            coroutine = task.func(*args) if kwargs is None else task.func(*args, **kwargs)
            running = self._first_steps.make(coroutine, job.name)
        except BaseException as error:  # noqa: BLE001 - no task may end the worker
            self._outcomes.failed(job, task, error, started, OWN_FRAMES)
            return
        # Also the strong reference that asyncio itself does not keep.
        deadline = None if task.timeout is None else self._limit(task, running)
        self._running[running] = (job, started, deadline)
        self._first_steps.run()
        if running.done():
            self._settle(running)
        else:
            running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[Any]) -> None:
        try:
            self._settle(running)
        except BaseException as error:  # noqa: BLE001 - of the worker, not of a task
            self._failed(error)

    def _settle(self, running: asyncio.Task[Any]) -> None:
        job, started, deadline = self._running.pop(running)
        error: BaseException | None
        if running.cancelled():
            error = asyncio.CancelledError("the task was cancelled")
        else:
            error = running.exception()
        if self._fork.in_child:
            leave(error)
        if deadline is not None:
            error = job.task.timeouts.end(deadline, job.task.timeout, running, error)
        if (
            error is None
            and (result := running.result()) is not None
            and type(result) is CoroutineType
        ):
            error = unawaited(result)
        if error is None:
            if not self._source.succeed(job):
                self._outcomes.void(job, started)
            elif self._events.logs_success:
                self._events.done(job, started)
        elif running in self._cancelled_by_us and not isinstance(error, TaskTimeout):
            self._outcomes.release(job, started)
        else:
            self._outcomes.failed(job, job.task, error, started)
        if self._cancelled_by_us:
            self._cancelled_by_us.discard(running)

    def _limit(self, task: RegisteredTask, running: asyncio.Task[Any]) -> int | None:
        assert task.timeout is not None
        return task.timeouts.begin(running, task.timeout) if task.timeouts is not None else None

    def time_out(self, running: asyncio.Task[Any]) -> None:
        """Cancels what is past its deadline; for any thread, returns at once."""
        self._loop.call_soon_threadsafe(running.cancel)

    def attempt(self, running: asyncio.Task[Any]) -> tuple[Job, float] | None:
        """Which job that is, and since when it runs; for any thread."""
        found = self._running.get(running)
        return None if found is None else found[:2]

    def running(self) -> list[tuple[Job, float]]:
        """What runs now, with the `perf_counter()` of its beginning. May be
        called by any thread."""
        return [(job, started) for job, started, _ in list(self._running.values())]

    def current_job(self) -> Job | None:
        """What runs at present, asked by the loop's own thread; None in others,
        and in coroutines that a job has started beside itself."""
        if threading.get_ident() != self._thread.ident:
            return None
        running = asyncio.current_task(self._loop)
        return self._running[running][0] if running in self._running else None

    def stacks(self) -> list[tuple[Job, str]]:
        """Where each running job's coroutine waits; for any thread, so a glance
        rather than a consistent picture."""
        return [(job, self.stack(running)) for running, (job, *_) in list(self._running.items())]

    def stack(self, running: asyncio.Task[Any]) -> str:
        """Where one coroutine waits, or what it does if it blocks the loop."""
        import io
        import traceback

        if asyncio.current_task(self._loop) is running:
            frame = sys._current_frames().get(self._thread.ident or 0)
            return "".join(traceback.format_stack(frame))
        text = io.StringIO()
        running.print_stack(file=text)
        return text.getvalue()

    def cancel_all(self) -> None:
        """Cancels what runs and gives it back; returns at once."""
        self._loop.call_soon_threadsafe(self._cancel_all)

    def _cancel_all(self) -> None:
        for running in self._running:
            self._cancelled_by_us.add(running)
            running.cancel()

    def stop(self, timeout: float) -> bool:
        """Ends the loop and its thread; False where that takes longer than
        `timeout` seconds."""
        if not self._thread.is_alive():
            return True
        self._stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout)
        return not self._thread.is_alive()
