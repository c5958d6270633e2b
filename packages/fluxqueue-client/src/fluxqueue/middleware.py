"""Middleware of an application: its code around each attempt at a task and around each enqueue.

docs/middleware.md has examples. Why: docs/decisions/0215-middleware-is-a-generator.md
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import fluxqueue_core

    from .context import TaskMetadata

Status: TypeAlias = Literal["succeeded", "retried", "snoozed", "dead", "cancelled", "released"]


class AttemptOutcome:
    """The decision of a worker about an attempt.

    Attributes:
        status: "succeeded"; "retried" or "dead" after a failure; "snoozed" by `Snooze`;
            "cancelled"; or "released" by a worker that stops.
        error: what the task raised; None if it succeeded or was released.
        delay: seconds until the next attempt, of "retried" and "snoozed".
        reason: of "dead", the reason of the dead set (docs/protocol.md); of "snoozed", the
            text that the task gave.
    """

    __slots__ = ("delay", "error", "reason", "status")

    def __init__(
        self,
        status: Status,
        error: BaseException | None = None,
        delay: float | None = None,
        reason: str | None = None,
    ) -> None:
        self.status = status
        self.error = error
        self.delay = delay
        self.reason = reason

    @property
    def is_failure(self) -> bool:
        """Whether the attempt failed: "retried" or "dead"."""
        return self.status in ("retried", "dead")

    @property
    def is_final(self) -> bool:
        """Whether the task has ended: "succeeded", "dead" or "cancelled"."""
        return self.status in ("succeeded", "dead", "cancelled")

    def __repr__(self) -> str:
        return (
            f"<AttemptOutcome {self.status}: error={self.error!r}, delay={self.delay}, "
            f"reason={self.reason!r}>"
        )


class Attempt:
    """One attempt at a task, as middleware sees it. Nothing of it can be changed."""

    __slots__ = ("_attempt", "_metadata")

    def __init__(self, attempt: fluxqueue_core.Attempt) -> None:
        self._attempt = attempt

    @property
    def task_name(self) -> str:
        """The task's name."""
        return self._attempt.name

    @property
    def queue(self) -> str:
        """The queue that the task comes from."""
        queue: str = self._attempt.queue
        return queue

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments, as JSON has them."""
        return tuple(self._attempt.args)

    @property
    def kwargs(self) -> dict[str, Any]:
        """A copy of the keyword arguments, as JSON has them."""
        return dict(self._attempt.kwargs or {})

    @property
    def metadata(self) -> TaskMetadata:
        """Its id, counts, time and headers: those of `Context.metadata`."""
        try:
            return self._metadata
        except AttributeError:
            from .context import metadata_of  # only the worker has attempts

            self._metadata: TaskMetadata = metadata_of(self._attempt)
            return self._metadata

    @property
    def is_async(self) -> bool:
        """Whether the task is an `async def`."""
        is_async: bool = self._attempt.task.is_async
        return is_async

    def __repr__(self) -> str:
        return f"<Attempt at {self.task_name!r} of queue {self.queue!r}>"


class EnqueueOutcome:
    """The end of a call.

    Attributes:
        task_id: the id of the task that the call has enqueued, or of the one that is in its
            place. None: there is neither.
        is_new: whether the call has enqueued a task.
        error: what the call raises; None if Redis has answered.
    """

    __slots__ = ("error", "is_new", "task_id")

    def __init__(
        self, task_id: str | None, is_new: bool = False, error: BaseException | None = None
    ) -> None:
        self.task_id = task_id
        self.is_new = is_new
        self.error = error

    def __repr__(self) -> str:
        return f"<EnqueueOutcome {self.task_id}: is_new={self.is_new}, error={self.error!r}>"


class EnqueueCall:
    """One call of a task, as middleware sees it before it is sent.

    Attributes:
        task_name, queue: where it goes.
        args, kwargs: the arguments, as JSON will have them. Do not change them.
        task_id: the id of the task that it enqueues.
        headers: strings for `TaskMetadata.headers`, which you may change.
    """

    __slots__ = ("_options", "args", "headers", "kwargs", "queue", "task_id", "task_name")

    def __init__(
        self,
        task_name: str,
        queue: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        task_id: str,
        headers: MutableMapping[str, str],
        options: Mapping[str, Any],
    ) -> None:
        self.task_name = task_name
        self.queue = queue
        self.args = args
        self.kwargs = kwargs
        self.task_id = task_id
        self.headers = headers
        self._options = options

    @property
    def delay(self) -> float | None:
        """The seconds that the call gave as its `delay`."""
        delay = self._options.get("delay")
        return None if delay is None else delay / 1000

    @property
    def eta(self) -> datetime | None:
        """The moment that the call gave as its `eta`, in UTC."""
        eta = self._options.get("eta")
        return None if eta is None else datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=eta)

    def __repr__(self) -> str:
        return f"<EnqueueCall of {self.task_name!r} to queue {self.queue!r}>"


# The results of the four methods.
AttemptSteps: TypeAlias = Generator[None, AttemptOutcome, None]
AsyncAttemptSteps: TypeAlias = AsyncGenerator[None, AttemptOutcome]
EnqueueSteps: TypeAlias = Generator[None, EnqueueOutcome, None]
AsyncEnqueueSteps: TypeAlias = AsyncGenerator[None, EnqueueOutcome]


class Middleware:
    """Code of an application around each attempt and each enqueue. Make a subclass, and give
    an instance to `FluxQueue(middleware=[...])` or `@fluxqueue.task(middleware=[...])`.

    Define the methods that you need, as generators with one `yield`. Many threads and event
    loops call them at the same time, so keep what belongs to one attempt in local variables.
    """

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        """Runs in the worker: up to the `yield` before the attempt, and the rest when the worker
        has decided the outcome, which the `yield` returns.

        An exception fails the attempt, even if the task has succeeded; the options of the task
        then decide about a retry. After a failure the task's own error counts.
        """
        yield

    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        """As `attempt`, around async tasks. Without it, they too run `attempt`."""
        yield

    def enqueue(self, call: EnqueueCall) -> EnqueueSteps:
        """Runs in the caller: up to the `yield` before the call is sent, and the rest when it is
        known what happened, which the `yield` returns.

        An exception before the `yield` leaves the call, and nothing is enqueued. Later ones are
        only a warning (`FluxQueueWarning`): a caller that got them would call again.
        """
        yield

    async def enqueue_async(self, call: EnqueueCall) -> AsyncEnqueueSteps:
        """As `enqueue`, around calls that are awaited. Without it, they too run `enqueue`.

        A task with such a method sends nothing until its call is awaited."""
        yield
