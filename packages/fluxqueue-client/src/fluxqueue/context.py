"""The context of a task: the facts about its run, and what tasks of a thread share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from fluxqueue_core import json_codec

from . import progress as reports
from .closures import closure
from .return_value import has_odd_float
from .signatures import signature_of

if TYPE_CHECKING:
    import fluxqueue_core


@dataclass(frozen=True, slots=True)
class TaskMetadata:
    """Facts about the run of a task.

    Attributes:
        task_id: the task's id, a UUID as text; the same for every attempt.
        retries: how many attempts have failed before this one.
        max_retries: how many retries the task may have.
        snoozes: how many times the task has put itself off by `Snooze`.
        lost_workers: how many workers were lost while they held the task.
        releases: how many workers stopped and gave the task back while it ran.
        enqueued_at: when the task was enqueued: an aware datetime in UTC, to the
            millisecond.
        headers: the strings that the call had as its option `headers`, and those that
            telemetry added.
    """

    task_id: str
    retries: int
    max_retries: int
    enqueued_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    snoozes: int = 0
    lost_workers: int = 0
    releases: int = 0


def metadata_of(attempt: fluxqueue_core.Attempt) -> TaskMetadata:
    """Returns the facts about an attempt."""
    return TaskMetadata(
        task_id=attempt.task_id,
        retries=attempt.retries,
        max_retries=attempt.max_retries,
        snoozes=attempt.snoozes,
        lost_workers=attempt.deliveries,
        releases=attempt.releases,
        enqueued_at=datetime.fromtimestamp(attempt.enqueued_at / 1000, UTC),
        headers=attempt.headers or {},
    )


class NotedAttempt(Protocol):
    """The attempt that a context belongs to; the worker's is `fluxqueue_core.Attempt`."""

    def report(self, progress: bytes) -> None: ...
    def save(self, checkpoint: bytes) -> None: ...
    @property
    def checkpoint(self) -> bytes | None: ...


class Context:
    """The first argument of a function decorated with `task_with_context`.

    Make a subclass to give tasks something that they share, for example a database
    connection in `thread_storage`.

    Attributes:
        metadata: the task's id, counts and time.
        thread_storage: a dict that lasts as long as the worker's thread (for
            `def`) or event loop (for `async def`). All tasks that run there share
            it: one after another in a thread, at the same time on the loop.
    """

    # None: no worker runs the task, for example in a test of its function.
    _attempt: NotedAttempt | None = None
    _checkpoint: Any = None

    def __init__(self, metadata: TaskMetadata, thread_storage: dict[str, Any]) -> None:
        self.metadata = metadata
        self.thread_storage = thread_storage

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Reports how far the task is, for `TaskHandle.progress`. Each report replaces the last.

        It only notes the report, so call it as often as you like, from any thread: the
        worker sends the last one, at most four times a second. It has no effect if the task has
        no `result_ttl`, or when it has ended.

        Args:
            done: how much is done, in units of your choice.
            total: how much there is; None: unknown.
            note: a text for people; 1000 characters of it are kept.

        Raises:
            TypeError: an argument is of another type.
            ValueError: a number is negative, infinite or NaN.
        """
        report = reports.encode(done, total, note)
        if self._attempt is not None:
            self._attempt.report(report)

    def checkpoint(self, value: Any) -> None:
        """Saves a value from which the next attempt can continue, as `last_checkpoint`.

        The message of the task keeps the value over retries, snoozes, drains and lost workers,
        until the task has ended. A lost worker may lose the values of its last second.

        Args:
            value: anything that JSON can carry, of at most 64 KiB as JSON.

        Raises:
            TypeError: JSON can't carry the value.
            ValueError: it is too large, or has a NaN or an infinity.
        """
        try:
            encoded = json_codec.dumps(value)
        except TypeError as error:
            raise TypeError(f"the checkpoint can't be saved as JSON: {error}") from error
        if b"null" in encoded and has_odd_float(value):
            raise ValueError("the checkpoint can't be saved: JSON has no NaN and no infinity")
        if self._attempt is None:
            self._checkpoint = json_codec.loads(encoded)
        else:
            self._attempt.save(encoded)

    @property
    def last_checkpoint(self) -> Any:
        """The last value that `checkpoint` has saved, in this attempt or an earlier one, in
        its JSON form; None if there is none yet."""
        if self._attempt is None:
            return self._checkpoint
        saved = self._attempt.checkpoint
        return None if saved is None else json_codec.loads(saved)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.metadata!r})"


def context_class(func: Callable[..., Any], local_names: Mapping[str, Any]) -> type[Context]:
    """Returns the class that annotates the first parameter of `func`.

    Args:
        local_names: the names visible to the decorator. An annotation that is a
            string may name a class that is local to a function.

    Raises:
        TypeError: there is no such parameter, or it isn't a `Context`.
    """
    name = func.__qualname__
    parameters = list(signature_of(func).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        raise TypeError(
            f"{name}() has no first parameter for the context; write "
            f"`def {func.__name__}(ctx: Context, ...)`, or use @fluxqueue.task()"
        )
    first = parameters[0]
    annotation = first.annotation
    if isinstance(annotation, str):
        annotation = _resolve(annotation, func, local_names)
    if isinstance(annotation, type) and issubclass(annotation, Context):
        return annotation
    if annotation is inspect.Parameter.empty:
        found = "has no annotation"
    else:
        found = f"is annotated {inspect.formatannotation(annotation)}"
    raise TypeError(
        f"the first parameter of {name}(), {first.name!r}, {found}; annotate it as "
        f"fluxqueue.Context or a subclass, or use @fluxqueue.task()"
    )


def _resolve(annotation: str, func: Callable[..., Any], local_names: Mapping[str, Any]) -> object:
    inner = inspect.unwrap(func)
    module = getattr(inner, "__globals__", {})
    try:
        # The text is from the application's source, as in typing.get_type_hints.
        return eval(annotation, module, {**local_names, **closure(inner)})
    except Exception as error:
        raise TypeError(
            f"the annotation {annotation!r} of the first parameter of {func.__qualname__}() can't "
            f"be resolved ({error}); import the class at run time, outside `if TYPE_CHECKING`"
        ) from error
