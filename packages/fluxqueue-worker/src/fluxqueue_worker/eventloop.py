"""Async tasks: one event loop in its own thread.

Each attempt is an asyncio task of the application's own coroutine. Its first step runs as
soon as the task is made (see `first_step`). A task that ends in that step is settled
at once; the callback at the end of the others settles them.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from time import perf_counter
from typing import Any

from fluxqueue_core import Attempt
from fluxqueue_core.errors import TaskTimeout
from fluxqueue_core.exception_text import is_a

from .attempt_contexts import AttemptContexts
from .attempts import Attempts
from .error_text import own_codes, own_frame
from .events import TaskEvents
from .first_step import FirstSteps
from .forked import leave
from .forked_loop import end_children, leave_after
from .outcomes import Outcomes
from .registered_task import RegisteredTask
from .result_parts import FINISHED
from .unawaited import unawaited

# Seconds during which attempts begin before the loop does its other work.
TURN = 0.002


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's loop, or asyncio's if uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class EventLoop:
    """The loop, its thread and the attempts that run there.

    Args:
        attempts: the consumer.
        crashed: called when an error of the worker itself ends the thread.
        contexts: makes the contexts of the attempts; by default copies of the caller's.
    """

    def __init__(
        self,
        attempts: Attempts,
        outcomes: Outcomes,
        events: TaskEvents,
        crashed: Callable[[BaseException], None],
        contexts: AttemptContexts | None = None,
    ) -> None:
        self._attempts = attempts
        self._outcomes = outcomes
        self._succeed = outcomes.succeed
        self._events = events
        self._crashed = crashed
        # The strong reference that asyncio itself does not keep, and the id of the
        # task's deadline if it has one.
        self._running: dict[asyncio.Task[Any], tuple[Attempt, float, int | None]] = {}
        self._cancelled_by_us: set[asyncio.Task[Any]] = set()
        self._thread_storage: dict[str, Any] = {}
        self._new_context = (AttemptContexts() if contexts is None else contexts).new
        self._stopping = False
        self._fork = outcomes.fork
        self._loop = new_event_loop()
        end_children(self._loop)
        self._first_steps = FirstSteps(self._loop)
        self._thread = threading.Thread(target=self._run, name="fluxqueue-loop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Runs a coroutine of the worker on the loop. Any thread may call it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.add_reader(self._attempts.async_fd, self._pump)
            while not self._stopping:
                # A task that raises SystemExit or KeyboardInterrupt, or calls
                # loop.stop(), ends run_forever. Its attempt is settled like any other.
                try:
                    self._loop.run_forever()
                except (SystemExit, KeyboardInterrupt):
                    continue
                if not self._stopping:
                    self._events.loop_stopped()
            self._close()
        except BaseException as error:  # noqa: BLE001 - of the worker, not of a task
            self._crashed(error)

    def _close(self) -> None:
        self._loop.remove_reader(self._attempts.async_fd)
        self._loop.set_task_factory(None)
        self._cancel_all_tasks()
        self._complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    # Named as asyncio's: see `fluxqueue_core.loop_end.is_ending`.
    def _cancel_all_tasks(self) -> None:
        leftover = asyncio.all_tasks(self._loop)
        for task in leftover:
            task.cancel()
        if leftover:
            # The process is about to end, so tasks that ignore this stay behind.
            self._complete(asyncio.wait(leftover, timeout=1.0))

    def _complete(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Runs the loop until the coroutine ends, even if code that tasks have left behind
        stops the loop or raises SystemExit."""
        task = asyncio.Task(coroutine, loop=self._loop)
        while not (task.done() or self._loop.is_closed()):
            with suppress(SystemExit, KeyboardInterrupt, RuntimeError):
                self._loop.run_until_complete(task)

    def _pump(self) -> None:
        try:
            ends = perf_counter() + TURN
            # The descriptor stays readable until no attempt is left to begin.
            while (attempt := self._attempts.take_async()) is not None:
                started = perf_counter()
                self._begin(attempt, started)
                if started > ends:
                    break
        except BaseException as error:  # noqa: BLE001 - of the worker, not of a task
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        # asyncio would only log the error of a callback, and call it again.
        self._loop.remove_reader(self._attempts.async_fd)
        self._crashed(error)

    @own_frame
    def _begin(self, attempt: Attempt, started: float) -> None:
        task: RegisteredTask = attempt.task
        context = self._new_context()
        try:
            if (run := task.run) is None:
                # A plain `async def`: the call runs none of its code.
                args, kwargs = attempt.args, attempt.kwargs
                coroutine = task.func(*args) if kwargs is None else task.func(*args, **kwargs)
            else:
                coroutine = context.run(run, attempt, self._thread_storage)
            running = self._first_steps.make(coroutine, attempt.name, context)
        except BaseException as error:  # noqa: BLE001 - no task may end the worker
            self._refuse(attempt, error, started, context)
            return
        deadline = None if task.timeout is None else self._limit(task, running)
        self._running[running] = (attempt, started, deadline)
        try:
            context.run(self._step, running, context)
        except BaseException as error:  # noqa: BLE001 - see `recover`
            if self._fork.in_child:
                leave_after(running, error)
            self._outcomes.recover(attempt, error, started)

    def _refuse(
        self, attempt: Attempt, error: BaseException, started: float, context: Context
    ) -> None:
        """The attempt failed before it had an asyncio task."""
        try:
            context.run(self._outcomes.failed, attempt, error, started)
        except BaseException as failure:  # noqa: BLE001 - see `recover`
            self._outcomes.recover(attempt, failure, started)

    def _step(self, running: asyncio.Task[Any], context: Context) -> None:
        """Makes the first step of an attempt, in its context."""
        self._first_steps.run()
        if running.done():
            self._settle(running)
        else:
            running.add_done_callback(self._ended, context=context)

    def _ended(self, running: asyncio.Task[Any]) -> None:
        attempt, started, _ = self._running[running]
        try:
            self._settle(running)
        except BaseException as error:  # noqa: BLE001 - see `recover`
            try:
                self._outcomes.recover(attempt, error, started)
            except BaseException as failure:  # noqa: BLE001 - of the worker, not of a task
                self._failed(failure)

    def _settle(self, running: asyncio.Task[Any]) -> None:
        attempt, started, deadline = self._running.pop(running)
        error: BaseException | None
        if running.cancelled():
            error = asyncio.CancelledError("the task was cancelled")
        else:
            error = running.exception()
        if self._fork.in_child:
            leave(error)
        if deadline is not None:
            error = attempt.task.timeouts.end(deadline, attempt.task.timeout, running, error)
        if (
            error is None
            and (result := running.result()) is not None
            and type(result) not in FINISHED
        ):
            error = unawaited(result)
        if error is None:
            if not self._succeed(attempt):
                self._outcomes.void(attempt, started)
            elif self._events.logs_success:
                self._events.done(attempt, started)
        elif self._gives_back(running, error) and not self._outcomes.has_decided(attempt):
            self._outcomes.release(attempt, started)
        else:
            self._outcomes.failed(attempt, error, started)
        if self._cancelled_by_us:
            self._cancelled_by_us.discard(running)

    def _gives_back(self, running: asyncio.Task[Any], error: BaseException) -> bool:
        return running in self._cancelled_by_us and not is_a(error, TaskTimeout)

    def task_ended(self, error: BaseException | None) -> tuple[BaseException | None, bool]:
        """See `AsyncEnds`. The rest of the current asyncio task is middleware."""
        running = asyncio.current_task(self._loop)
        assert running is not None
        attempt, started, deadline = self._running[running]
        if deadline is not None:
            self._running[running] = attempt, started, None
            raised = error
            error = attempt.task.timeouts.end(deadline, attempt.task.timeout, running, error)
            if error is not raised and is_a(raised, asyncio.CancelledError):
                # The cancellation was the timeout.
                error.__context__ = None
        # Otherwise `asyncio.timeout` of a middleware would take it for its own.
        while running.cancelling():
            running.uncancel()
        return error, error is not None and self._gives_back(running, error)

    def is_cut_off(self, attempt: Attempt) -> bool:
        """See `AsyncEnds`."""
        running = asyncio.current_task(self._loop)
        return running in self._cancelled_by_us or attempt in self._outcomes.cancelling

    def _limit(self, task: RegisteredTask, running: asyncio.Task[Any]) -> int | None:
        assert task.timeout is not None
        return task.timeouts.begin(running, task.timeout) if task.timeouts is not None else None

    def time_out(self, running: asyncio.Task[Any]) -> None:
        """Cancels a task that is past its deadline. Any thread may call it; it returns at
        once."""
        self._loop.call_soon_threadsafe(running.cancel)

    def cancel(self, attempt: Attempt) -> bool:
        """Cancels the asyncio task of an attempt, soon. Returns False if none runs it. Any thread
        may call it."""
        if (running := self._running_of(attempt)) is None:
            return False
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(running.cancel)
        return True

    def stack_of(self, attempt: Attempt) -> str:
        """The stack of an attempt's coroutine."""
        running = self._running_of(attempt)
        return "" if running is None else self.stack(running)

    def _running_of(self, attempt: Attempt) -> asyncio.Task[Any] | None:
        found = list(self._running.items())
        return next((running for running, (own, *_) in found if own is attempt), None)

    def attempt(self, running: asyncio.Task[Any]) -> tuple[Attempt, float] | None:
        """The attempt of an asyncio task, and when it began. Any thread may call it."""
        found = self._running.get(running)
        return None if found is None else found[:2]

    def running(self) -> list[tuple[Attempt, float]]:
        """The attempts that run now, each with the `perf_counter()` of its beginning. Any
        thread may call it."""
        return [(attempt, started) for attempt, started, _ in list(self._running.values())]

    def current_attempt(self) -> Attempt | None:
        """The attempt whose code calls this in the loop's thread. None in other threads,
        and in the other asyncio tasks that an attempt has started."""
        if threading.get_ident() != self._thread.ident:
            return None
        running = asyncio.current_task(self._loop)
        return self._running[running][0] if running in self._running else None

    def stacks(self) -> list[tuple[Attempt, str]]:
        """Where each running attempt's coroutine waits. Any thread may call it, so the
        stacks are not of one moment."""
        return [
            (attempt, self.stack(running)) for running, (attempt, *_) in list(self._running.items())
        ]

    def stack(self, running: asyncio.Task[Any]) -> str:
        """The stack of one coroutine; if it blocks the loop, that of the loop's thread."""
        import io
        import traceback

        if asyncio.current_task(self._loop) is running:
            frame = sys._current_frames().get(self._thread.ident or 0)
            return "".join(traceback.format_stack(frame))
        text = io.StringIO()
        running.print_stack(file=text)
        # A coroutine of the worker's around the task's: asyncio shows the outermost only.
        inner: Any = running.get_coro()
        while getattr(inner, "cr_code", None) in own_codes():
            inner = inner.cr_await
            if (frame := getattr(inner, "cr_frame", None)) is not None:
                traceback.print_stack(frame, limit=1, file=text)
        return text.getvalue()

    def cancel_all(self) -> None:
        """Cancels the running tasks and gives them back; returns at once."""
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._cancel_all)

    def _cancel_all(self) -> None:
        for running in self._running:
            self._cancelled_by_us.add(running)
            running.cancel()

    def stop(self, timeout: float) -> bool:
        """Ends the loop and its thread. Returns False if that takes longer than
        `timeout` seconds."""
        if not self._thread.is_alive():
            return True
        self._stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout)
        return not self._thread.is_alive()
