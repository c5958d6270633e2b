"""Runs the attempts of a test as the threads and the event loop of a worker do.

Why: docs/decisions/0225-inline-tasks-run-by-the-workers-parts.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import partial
from time import perf_counter
from typing import Any, cast

from fluxqueue.dependency_forms import Provider
from fluxqueue.providers import Providers
from fluxqueue.served import serve_in_context
from fluxqueue_core import Attempt
from fluxqueue_core.exception_text import is_a

from fluxqueue_worker.around_attempts import AroundAttempts
from fluxqueue_worker.attempt_contexts import AttemptContexts
from fluxqueue_worker.attempts import Attempts
from fluxqueue_worker.cancelling import TICK
from fluxqueue_worker.error_text import own_frame
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.host_log import HostLogger
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.registered_task import RegisteredTask
from fluxqueue_worker.result_parts import FINISHED
from fluxqueue_worker.shared_values import Failures, SharedValues
from fluxqueue_worker.timeouts import Timeouts
from fluxqueue_worker.unawaited import refuse_unawaited, unawaited

from .attempt import SimulatedAttempt
from .hidden_loop import hidden_loop
from .record import TaskRecord

# The task whose code runs in this context.
current: ContextVar[TaskRecord | None] = ContextVar("fluxqueue_testing_current", default=None)


class AttemptRunner:
    """Runs attempts in the calling thread, or on its event loop.

    Args:
        attempts: settles them.

    Attributes:
        shared: the values that the tasks of the test share.
    """

    def __init__(self, attempts: Attempts) -> None:
        events = TaskEvents(HostLogger())
        self._contexts = AttemptContexts()
        self.shared = SharedValues()
        self._lifespans: list[Provider] = []
        self._outcomes = Outcomes(attempts, events)
        # No attempt counts as stuck: nothing here has slots to give away.
        nothing: Any = None
        self._timeouts = Timeouts(nothing, events, 86_400.0, False, _ignore, _ignore)
        self._timeouts.loop = self
        self._sync_storage: dict[str, Any] = {}
        self._async_storage: dict[str, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._around = AroundAttempts(self._outcomes, self)
        self._attempts: dict[TaskRecord, SimulatedAttempt] = {}
        # The asyncio tasks of async attempts, each with the id of its deadline.
        self._asyncio_tasks: dict[asyncio.Task[Any], tuple[SimulatedAttempt, int | None]] = {}

    def prepare(self, task: RegisteredTask, providers: Providers) -> None:
        """Prepares a task for its first attempt.

        Args:
            providers: have the lifespans that begin before it.
        """
        task.prepare(self._timeouts, self._around.inside((), task))
        known = {each.key for each in self._lifespans}
        self._lifespans += [each for each in providers.of_lifespans() if each.key not in known]

    def run(self, attempt: SimulatedAttempt) -> None:
        """Runs an attempt to its end, in this thread."""
        with hidden_loop(), self._running(attempt):
            if attempt.task.is_async:
                self._run_loop(attempt)
            else:
                self._run(attempt)

    async def run_async(self, attempt: SimulatedAttempt) -> None:
        """As `run`; an async task runs on the event loop of the caller."""
        with self._running(attempt):
            if attempt.task.is_async:
                await self._run_async(attempt, self._async_storage)
            else:
                with hidden_loop():
                    self._run(attempt)

    @contextmanager
    def _running(self, attempt: SimulatedAttempt) -> Iterator[None]:
        self._attempts[attempt.record] = attempt
        try:
            yield
        finally:
            del self._attempts[attempt.record]
            self._outcomes.cancelling.discard(cast("Attempt", attempt))

    def cancel(self, record: TaskRecord) -> None:
        """Cancels the attempt of a running task. As in a worker, the call that asks for it returns
        before. A `def` is not interrupted."""
        attempt = self._attempts[record]
        self._outcomes.cancelling.add(cast("Attempt", attempt))
        for running, (own, _) in list(self._asyncio_tasks.items()):
            if own is attempt:
                call_later = partial(running.get_loop().call_later, TICK, running.cancel)
                running.get_loop().call_soon_threadsafe(call_later)

    def close(self) -> None:
        """Ends the threads and loops."""
        self._timeouts.stop()
        self._timeouts.join(1.0)
        failures: Failures = []
        if self._loop is not None:
            loop, self._loop = self._loop, None
            with hidden_loop():
                failures += self._close(loop)
        for _, error in (*failures, *self.shared.end()):
            raise error

    # The methods of `timeouts.LoopRunner`.

    def time_out(self, running: asyncio.Task[Any]) -> None:
        """Cancels an asyncio task that is past its deadline. Any thread may call it."""
        running.get_loop().call_soon_threadsafe(running.cancel)

    def attempt(self, token: object) -> tuple[Attempt, float] | None:
        """No attempt is reported as stuck."""
        return None

    def stack(self, token: object) -> str:
        """See `attempt`."""
        return ""

    # The methods of `around_attempts.AsyncEnds`.

    def task_ended(self, error: BaseException | None) -> tuple[BaseException | None, bool]:
        """As the one of the worker's event loop."""
        running = asyncio.current_task()
        assert running is not None
        attempt, _ = self._asyncio_tasks[running]
        raised, error = error, self._end_deadline(running, error)
        if error is not raised and is_a(raised, asyncio.CancelledError):
            assert error is not None
            error.__context__ = None
        self._asyncio_tasks[running] = attempt, None
        while running.cancelling():
            running.uncancel()
        return error, False

    def is_cut_off(self, attempt: Attempt) -> bool:
        """As the one of the worker's event loop."""
        return attempt in self._outcomes.cancelling

    def _end_deadline(
        self, running: asyncio.Task[Any], error: BaseException | None
    ) -> BaseException | None:
        attempt, deadline = self._asyncio_tasks[running]
        timeout = attempt.task.timeout
        if deadline is None or timeout is None:
            return error
        return self._timeouts.end(deadline, timeout, running, error)

    def _run_loop(self, attempt: SimulatedAttempt) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        if not self._loop.is_running():
            self._loop.run_until_complete(self._run_async(attempt, self._async_storage))
            return
        # A task of this loop waits for the result of another one without `await`.
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._run_async(attempt, {}))
        finally:
            self._close(loop)

    def _close(self, loop: asyncio.AbstractEventLoop) -> Failures:
        """Closes a loop of this object. Returns the shared values of it that failed to end."""
        failures = loop.run_until_complete(self.shared.end_async())
        _close(loop)
        return failures

    @own_frame
    def _run(self, attempt: SimulatedAttempt) -> None:
        self._context(attempt).run(self._call, attempt)

    def _context(self, attempt: SimulatedAttempt) -> Context:
        context = self._contexts.new()
        context.run(current.set, attempt.record)
        # As in a worker, it does not wait for tasks of the same queue.
        place = attempt.record.place
        context.run(serve_in_context, [place.queue], place.namespace)
        return context

    @own_frame
    def _call(self, attempt: SimulatedAttempt) -> None:
        task, started = attempt.task, perf_counter()
        try:
            for lifespan in self._lifespans:
                if not lifespan.is_async:
                    self.shared.get(lifespan)
            if (run := task.run) is None:
                result = task.func(*attempt.args, **(attempt.kwargs or {}))
            else:
                result = run(cast("Attempt", attempt), self._sync_storage)
            if result is not None and type(result) not in FINISHED:
                refuse_unawaited(result)
        except KeyboardInterrupt:
            raise  # the developer ends the test
        except BaseException as error:  # noqa: BLE001 - as in a worker
            self._failed(attempt, error, started)
        else:
            self._outcomes.succeed(cast("Attempt", attempt))

    def _failed(self, attempt: SimulatedAttempt, error: BaseException, started: float) -> None:
        attempt.error = error
        self._outcomes.failed(cast("Attempt", attempt), error, started)

    async def _run_async(self, attempt: SimulatedAttempt, storage: dict[str, Any]) -> None:
        task, started = attempt.task, perf_counter()
        context = self._context(attempt)
        try:
            for lifespan in self._lifespans:
                await self.shared.get_async(lifespan)
            if (run := task.run) is None:
                coroutine = task.func(*attempt.args, **(attempt.kwargs or {}))
            else:
                coroutine = context.run(run, cast("Attempt", attempt), storage)
            loop = asyncio.get_running_loop()
            running = asyncio.Task(coroutine, loop=loop, name=attempt.name, context=context)
        except BaseException as refused:  # noqa: BLE001 - as in a worker
            context.run(self._failed, attempt, refused, started)
            return
        limit = task.timeout
        deadline = None if limit is None else self._timeouts.begin(running, limit)
        self._asyncio_tasks[running] = attempt, deadline
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            # The test ends: nothing of it goes on.
            running.cancel()
            await asyncio.wait([running])
            raise
        finally:
            error = self._end_deadline(running, _error_of(running))
            del self._asyncio_tasks[running]
        if error is None:
            error = unawaited(running.result())
        if error is None:
            self._outcomes.succeed(cast("Attempt", attempt))
        else:
            context.run(self._failed, attempt, error, started)


def _error_of(running: asyncio.Task[Any]) -> BaseException | None:
    if running.cancelled():
        return asyncio.CancelledError("the task was cancelled")
    return running.exception()


def _ignore(*_: object) -> None:
    """For callbacks of a worker that a test does not need."""


def _close(loop: asyncio.AbstractEventLoop) -> None:
    leftover = asyncio.all_tasks(loop)
    for task in leftover:
        task.cancel()
    if leftover:
        loop.run_until_complete(asyncio.wait(leftover, timeout=1.0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
