"""What follows from the end of a task; shared by threads and event loop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from fluxqueue_core import Job

from .events import TaskEvents
from .jobs import Jobs
from .registered_task import RegisteredTask

if TYPE_CHECKING:
    from fluxqueue.options import Terms

TRACEBACK_BYTES = 32 * 1024
ERROR_BYTES = 2 * 1024
TRACEBACK_FRAMES = 100
# Seconds. What the core takes at most: a year.
LONGEST_DELAY = 365 * 86_400.0


def chance() -> float:
    """An even random number in [0, 1). From the system, so that workers that
    were forked from one process do not draw alike."""
    return int.from_bytes(os.urandom(6)) / 2**48


def retry_delay(terms: Terms, retries: int, random: Callable[[], float] = chance) -> float:
    """Seconds until the task runs again, after its failure number `retries` + 1.

    Exponential back-off with "equal jitter" (M. Brooker, "Exponential Backoff
    and Jitter", AWS Architecture Blog, 2015): with

        d = min(retry_delay * retry_backoff ** retries, retry_max_delay)

    it is even in [d / 2, d): what failed together does not come back together,
    and never sooner than half of what was asked for.
    """
    most = min(terms.retry_max_delay, LONGEST_DELAY)
    try:
        delay = terms.retry_delay * float(terms.retry_backoff) ** retries
    except OverflowError:
        delay = most
    # Also for infinity times zero, which is not a number.
    if not delay < most:
        delay = most
    return delay / 2 + random() * delay / 2


def describe(error: BaseException) -> str:
    """The exception's type and text, at most 2 KiB, safe to encode."""
    kind = type(error)
    name = kind.__qualname__
    try:
        if kind.__module__ not in ("builtins", "__main__"):
            name = f"{kind.__module__}.{name}"
    except BaseException:  # noqa: BLE001 - a broken metaclass must not hide the error
        pass
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - a broken __str__ must not hide the error
        text = "<its text can't be printed>"
    whole = f"{name}: {text}" if text else name
    encoded = whole[:ERROR_BYTES].encode("utf-8", "backslashreplace")
    return encoded[:ERROR_BYTES].decode("utf-8", "ignore")


def format_traceback(error: BaseException, own_frames: int) -> str:
    """The traceback, at most its last 32 KiB.

    Args:
        own_frames: how many frames at its beginning are the worker's own.
    """
    # Only failures need it, and it holds more than a megabyte.
    import traceback

    first = error.__traceback__
    for _ in range(own_frames):
        first = first.tb_next if first is not None else None
    try:
        lines = traceback.TracebackException(
            type(error), error, first, limit=-TRACEBACK_FRAMES, compact=True
        ).format()
        text = "".join(lines)
    except BaseException as failure:  # noqa: BLE001 - a broken exception class
        text = f"The traceback can't be formatted: {type(failure).__name__}\n"
    encoded = text[-TRACEBACK_BYTES:].encode("utf-8", "backslashreplace")
    return encoded[-TRACEBACK_BYTES:].decode("utf-8", "ignore")


class Outcomes:
    """Settles what did not simply succeed."""

    def __init__(self, consumer: Jobs, events: TaskEvents) -> None:
        self._consumer = consumer
        self._events = events
        self._failing = threading.Lock()
        # Set when running tasks are given back: from then on it is known that
        # the outcome of a task is void, and not worth a line.
        self.releasing = False

    def failed(
        self,
        job: Job,
        task: RegisteredTask,
        error: BaseException,
        started: float,
        own_frames: int = 0,
    ) -> None:
        """The task raised: it is tried again, or dead.

        Args:
            started: `time.perf_counter()` when the task began.
            own_frames: see `format_traceback`.
        """
        text = describe(error)
        trace = format_traceback(error, own_frames)
        with self._failing:
            # One that was stuck, and was given up when the worker was to end.
            if not job.settled:
                self._settle_failed(job, task, error, started, text, trace)

    def _settle_failed(
        self,
        job: Job,
        task: RegisteredTask,
        error: BaseException,
        started: float,
        text: str,
        trace: str,
    ) -> None:
        if isinstance(error, TypeError) and not _fits(job, task):
            self._bury(job, "arguments", text, trace, started)
        elif job.retries < job.max_retries:
            delay = retry_delay(task.terms, job.retries)
            if self._consumer.retry(job, delay):
                self._events.retry(job, started, text, trace, delay)
            else:
                self.void(job, started)
        else:
            self._bury(job, "failed", text, trace, started)

    def _bury(self, job: Job, reason: str, error: str, traceback: str, started: float) -> None:
        if self._consumer.bury(job, reason, error, traceback):
            self._events.dead(job, started, reason, error, traceback)
        else:
            self.void(job, started)

    def release(self, job: Job, started: float) -> None:
        """The worker stops: the task goes back, nothing counted."""
        if self._consumer.release(job):
            self._events.released(job, started)
        else:
            self.void(job, started)

    def log_released(self, job: Job, started: float) -> None:
        """`Consumer.release_running` has given the task back."""
        self._events.released(job, started)

    def void(self, job: Job, started: float) -> None:
        """The lease was lost: another worker has the task, the outcome is void."""
        if not self.releasing:
            self._events.lost_lease(job, started)


def _fits(job: Job, task: RegisteredTask) -> bool:
    """Whether the job's arguments fit the task's signature. It is asked after a
    TypeError only: to ask before every call would cost more than the call."""
    try:
        task.check(*job.args, **(job.kwargs or {}))
    except TypeError:
        return False
    return True
