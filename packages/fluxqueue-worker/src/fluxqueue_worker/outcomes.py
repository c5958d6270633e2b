"""The one door through which attempts end; threads and the event loop share it.

Why: docs/decisions/0012-signature-checked-after-a-type-error.md
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from fluxqueue.conversion import ConversionError
from fluxqueue_core import Job
from fluxqueue_core.exception_text import is_a, text_of

from .error_text import describe_member
from .events import TaskEvents
from .failure_text import FailureText
from .jobs import Jobs
from .middleware import Middleware, wrapped_settle
from .outcome import RELEASED, SUCCEEDED, Cancelled, Dead, Outcome, Retried, Snoozed
from .registered_task import RegisteredTask
from .retry_rules import FAILED, retry_delay

# Characters of the text of a `Snooze` that the log keeps.
REASON_LENGTH = 1_000


class Outcomes:
    """Settles jobs through the middleware, and writes the line for each outcome.

    Attributes:
        succeed: settles a job whose task returned; False if the outcome is void. The
            loops bind it once and log the success themselves. Without middleware it
            is the consumer's own method.
        releasing: set when the worker gives running tasks back. From then on it is
            known that their outcomes are void, and the log does not report it.
        cancelling: the running jobs that were cancelled.
    """

    def __init__(
        self, jobs: Jobs, events: TaskEvents, middleware: Sequence[Middleware] = ()
    ) -> None:
        self.releasing = False
        self.cancelling: set[Job] = set()
        self._events = events
        self._failing = threading.Lock()
        self._jobs = jobs
        self._settle = settle = wrapped_settle(
            lambda job, outcome: outcome.settle(jobs, job), middleware
        )
        # For a job that the consumer has settled already.
        self._note = wrapped_settle(lambda job, outcome: True, middleware)
        self.succeed: Callable[[Job], bool] = (
            (lambda job: settle(job, SUCCEEDED)) if middleware else jobs.succeed
        )

    def failed(self, job: Job, error: BaseException, started: float) -> None:
        """The task raised: it runs again later, or is dead.

        Args:
            started: `time.perf_counter()` at the beginning of the attempt.
        """
        self._failed(job, error, started, asks=True)

    def gave_up(self, job: Job, error: BaseException, started: float) -> None:
        """The attempt is stuck and the worker ends. The function of the option `retry` is
        not called: it might keep the worker from ending."""
        self._failed(job, error, started, asks=False)

    def _failed(self, job: Job, error: BaseException, started: float, asks: bool) -> None:
        if job.settled:
            return
        outcome: Outcome
        if job in self.cancelling:
            outcome = Cancelled(error)
        else:
            outcome = self._after_failure(job, error, started, asks)
        with self._failing:
            # A stuck task was settled when the worker gave up on it.
            if not job.settled:
                self._end(job, outcome, started)

    def recover(self, job: Job, error: BaseException, started: float) -> None:
        """The worker itself raised `error` when it handled the end of an attempt. The task's
        exception or result may be the cause, so this counts as the task's failure.

        Settles the job without middleware, which may have raised the error.
        """
        text, trace = FailureText.of(error)
        self._events.settling_failed(job, started, text, trace)
        with self._failing:
            if job.settled:
                return
            # Without the rules for the task's exceptions: this one is the worker's.
            outcome: Outcome
            if job.retries < job.max_retries:
                delay = retry_delay(job.task.terms, job.retries)
                outcome = Retried(error, trace, text, delay)
            else:
                outcome = Dead(error, trace, text, FAILED)
            if outcome.settle(self._jobs, job):
                outcome.log(self._events, job, started)
            else:
                self.void(job, started)

    def _after_failure(self, job: Job, error: BaseException, started: float, asks: bool) -> Outcome:
        task: RegisteredTask = job.task
        misfit = is_a(error, ConversionError)
        if misfit or (is_a(error, TypeError) and not _fits(job, task)):
            text, trace = FailureText.of(error)
            return Dead(error, trace, text, "arguments")
        decision = task.retry_rules.decide(job, error, asks=asks)
        if decision.fault is not None:
            self._events.retry_fault(job, started, *decision.fault)
        if decision.snoozes and decision.delay is not None and decision.decisive is not None:
            why = text_of(decision.decisive, REASON_LENGTH)
            return Snoozed(text=why, delay=decision.delay)
        # Not before: to format a traceback takes longer than most tasks.
        text, trace = FailureText.of(error)
        if decision.delay is None:
            # By identity: an exception may have redefined its comparison.
            if (member := decision.decisive) is not None and member is not error:
                text = describe_member(member, error)
            return Dead(error, trace, text, decision.reason)
        return Retried(error, trace, text, decision.delay)

    def release(self, job: Job, started: float) -> None:
        """The worker stops: the task returns to its queue."""
        self._end(job, RELEASED, started)

    def _end(self, job: Job, outcome: Outcome, started: float) -> None:
        if self._settle(job, outcome):
            outcome.log(self._events, job, started)
        else:
            self.void(job, started)

    def released(self, job: Job, started: float) -> None:
        """`Consumer.release_running` has given the task back."""
        self._note(job, RELEASED)
        RELEASED.log(self._events, job, started)

    def void(self, job: Job, started: float) -> None:
        """The lease was lost: another worker has the task, and the outcome is void."""
        if not self.releasing:
            self._events.lost_lease(job, started)


def _fits(job: Job, task: RegisteredTask) -> bool:
    """Whether the job's arguments fit the task's signature. Only a TypeError raises
    the question: to check before every call would cost more than the call."""
    try:
        task.check(*job.args, **(job.kwargs or {}))
    except TypeError:
        return False
    return True
