"""The interface of middleware around an enqueue. Internal: it may change without notice.

Why: docs/decisions/0054-each-call-finds-its-way.md
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from fluxqueue_core import Producer, Route

# The headers of one message as JSON, and its id. The core makes an id if it is None.
PerCall = tuple[bytes | None, str | None]
# The lock that a call wants: its digest, text for people, and whether the caller chose the id.
CallLock = tuple[str, str, bool]
# The key of a call's limit: its digest, and text for people.
CallLimit = tuple[str, str]


class Enqueue(Protocol):
    """Enqueues one task. `headers` are those that the caller gave it. Without a `task_id`, the
    task gets a new one. Returns the id of the task that has the `lock` in its place, or None."""

    def __call__(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
        lock: CallLock | None = None,
        limit: CallLimit | None = None,
    ) -> str | None: ...


class EnqueueAsync(Protocol):
    """Enqueues one task on the running event loop; the coroutine gives `result`. With a `lock`
    it gives what `result` returns for the id of the task that has it, or for None.

    The core returns an EnqueueFuture, which is also a coroutine.
    """

    def __call__(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
        result: Any = None,
        lock: CallLock | None = None,
        limit: CallLimit | None = None,
    ) -> Coroutine[Any, Any, Any]: ...


class Bulk:
    """One bulk call, from its start to its end. This class records nothing."""

    @property
    def per_call(self) -> Callable[[bytes | None, str | None], PerCall] | None:
        """The function that makes the headers and the id of each message. It takes those
        that the caller gave it. None: these are the ones, and the core makes missing ids."""
        return None

    def end(self) -> None:
        """Ends the call: all tasks are in Redis."""

    def failed(self, error: BaseException) -> None:
        """Ends the call with an error."""


class Middleware(Protocol):
    """Wraps each enqueue. It wraps a producer's methods once per task and provider."""

    def around_enqueue(self, producer: Producer) -> Enqueue:
        """Returns the function that enqueues tasks in place of `Producer.enqueue`."""

    def around_enqueue_async(self, producer: Producer) -> EnqueueAsync:
        """Returns the function that enqueues tasks in place of `Producer.enqueue_async`."""

    def bulk(self, producer: Producer, route: Route) -> Bulk:
        """Begins a call that enqueues many tasks."""


class AroundCalls(Protocol):
    """The application's middleware around the calls of one task: `around_enqueue.Around`."""

    def enqueue(self, enqueue: Enqueue, options: Mapping[str, Any]) -> Enqueue:
        """Returns the function that enqueues tasks in place of `enqueue`, with these options."""

    def enqueue_async(self, enqueue: EnqueueAsync, options: Mapping[str, Any]) -> EnqueueAsync:
        """Returns the function that enqueues tasks on a loop in place of `enqueue`."""
