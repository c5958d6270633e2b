"""The parts that stand in for the plain ones where tasks are traced: what hands
out jobs and settles them, what decides about failures, and the event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from fluxqueue_core import Job
from fluxqueue_core.telemetry import semconv as s
from opentelemetry.context import Context, attach, detach

from .attempt import Attempt
from .eventloop import EventLoop
from .events import TaskEvents
from .jobs import Jobs
from .outcomes import Outcomes, format_traceback
from .registered_task import RegisteredTask
from .tracing import Tracing

NOTHING = Context()


class TracedConsumer:
    """A consumer's methods, with a span around what they hand out.

    A sync task runs in the thread that took it, so its context is attached
    there until the thread has the next one. The event loop attaches the context
    of an async one where it makes the coroutine's task.

    Args:
        source: the consumer, or what stands before it in a lane.
        settler: the consumer.
    """

    def __init__(self, source: Jobs, settler: Jobs, tracing: Tracing) -> None:
        self.async_fd = source.async_fd
        self.wants_thread = source.wants_thread
        self.give_up_threads = source.give_up_threads
        self.take_async = source.take_async
        self._take = source.take
        self._succeed = source.succeed
        self._settler = settler
        self._tracing = tracing
        self._attempts = tracing.attempts
        # The context that a job is to run in.
        self.begin = tracing.begin

    def take(self) -> Job | None:
        job = self._take()
        attach(NOTHING if job is None else self.begin(job))
        return job

    def failed(self, job: Job, error: BaseException, own_frames: int) -> None:
        """Notes what the task raised, before it is settled."""
        attempt = self._attempts.get(job)
        if attempt is not None:
            attempt.error = error
            if attempt.span.is_recording():
                attempt.stacktrace = format_traceback(error, own_frames)

    def succeed(self, job: Job) -> bool:
        attempt = self._attempts.pop(job, None)
        if attempt is None:
            return self._succeed(job)
        return self._settle(attempt, s.ACK, self._succeed, (), None)

    def retry(self, job: Job, delay: float) -> bool:
        attempt = self._attempts.pop(job, None)
        if attempt is None:
            return self._settler.retry(job, delay)
        more = {s.ATTEMPT: job.retries + 1, s.DELAY: round(delay, 3)}
        return self._settle(attempt, s.RETRY, self._settler.retry, (delay,), more)

    def bury(self, job: Job, reason: str, error: str, traceback: str | None = None) -> bool:
        attempt = self._attempts.pop(job, None)
        if attempt is None:
            return self._settler.bury(job, reason, error, traceback)
        more = {s.ATTEMPT: job.retries + 1, s.REASON: reason}
        bury = self._settler.bury
        return self._settle(attempt, s.DEAD, bury, (reason, error, traceback), more)

    def release(self, job: Job) -> bool:
        attempt = self._attempts.pop(job, None)
        if attempt is None:
            return self._settler.release(job)
        return self._settle(attempt, s.RELEASE, self._settler.release, (), None)

    def released(self, job: Job) -> None:
        """The consumer has given the job back with all others."""
        attempt = self._attempts.pop(job, None)
        if attempt is not None:
            self._settle(attempt, s.RELEASE, lambda job: True, (), None)

    def _settle(
        self,
        attempt: Attempt,
        operation: str,
        settle: Callable[..., bool],
        arguments: tuple[Any, ...],
        more: Mapping[str, Any] | None,
    ) -> bool:
        ended = perf_counter()
        settling = self._tracing.begin_settling(attempt, operation, more)
        try:
            counts = settle(attempt.job, *arguments)
        except Exception as error:
            self._tracing.settle_failed(attempt, settling, error)
            raise
        self._tracing.end(attempt, operation, ended, settling, counts)
        return counts


class TracedOutcomes(Outcomes):
    """Tells the consumer what a task raised before it settles it."""

    def __init__(self, consumer: TracedConsumer, events: TaskEvents) -> None:
        super().__init__(consumer, events)
        self._traced = consumer

    def failed(
        self,
        job: Job,
        task: RegisteredTask,
        error: BaseException,
        started: float,
        own_frames: int = 0,
    ) -> None:
        self._traced.failed(job, error, own_frames)
        super().failed(job, task, error, started, own_frames)

    def log_released(self, job: Job, started: float) -> None:
        self._traced.released(job)
        super().log_released(job, started)


class TracedEventLoop(EventLoop):
    """An event loop that begins each job in the context of its span. The
    asyncio task, and the callback at its end, take over that context."""

    def __init__(
        self,
        source: Jobs,
        outcomes: Outcomes,
        events: TaskEvents,
        crashed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(source, outcomes, events, crashed)
        assert isinstance(source, TracedConsumer)
        self._traced = source

    def _begin(self, job: Job, started: float) -> None:
        token = attach(self._traced.begin(job))
        try:
            super()._begin(job, started)
        finally:
            detach(token)
