"""The one door through which attempts end; threads and the event loop share it.

Why: docs/decisions/0012-signature-checked-after-a-type-error.md
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import GeneratorType
from typing import TYPE_CHECKING

from fluxqueue.conversion import ConversionError
from fluxqueue_core import Attempt
from fluxqueue_core.exception_text import is_a, text_of

from .attempts import Attempts
from .error_text import cut, describe_member
from .events import TaskEvents
from .failure_text import FailureText
from .forked import ForkWatch
from .middleware import Middleware, wrapped_settle
from .outcome import RELEASED, SUCCEEDED, Cancelled, Dead, Outcome, Retried, Snoozed
from .registered_task import RegisteredTask
from .retry_rules import FAILED, retry_delay

if TYPE_CHECKING:
    from .middleware_steps import AnyGenerator

# Characters of the text of a `Snooze` that the log keeps.
REASON_LENGTH = 1_000


class Outcomes:
    """Settles attempts through the middleware, and writes the line for each outcome.

    Attributes:
        succeed: settles an attempt whose task returned; False if the outcome is void. The
            loops bind it once and log the success themselves. Without middleware it
            is the consumer's own method.
        releasing: set when the worker gives running tasks back. From then on it is
            known that their outcomes are void, and the log does not report it.
        cancelling: the running attempts that were cancelled.
        ended: the attempts that the worker has given up or given back while they ran, and
            how they have ended.
        fork: knows whether this process is a child of a task.
    """

    def __init__(
        self, attempts: Attempts, events: TaskEvents, middleware: Sequence[Middleware] = ()
    ) -> None:
        self.releasing = False
        self.cancelling: set[Attempt] = set()
        self.ended: dict[Attempt, Outcome] = {}
        self.fork = ForkWatch()
        # By attempt: what its middleware has seen, until it is settled.
        self._decided: dict[Attempt, tuple[Outcome, FailureText | None]] = {}
        self._open: dict[Attempt, list[AnyGenerator]] = {}
        self._events = events
        self._failing = threading.Lock()
        self._attempts = attempts
        self._settle = settle = wrapped_settle(
            lambda attempt, outcome: outcome.settle(attempts, attempt), middleware
        )
        # For an attempt that the consumer has settled already.
        self._note = wrapped_settle(lambda attempt, outcome: True, middleware)
        self.succeed: Callable[[Attempt], bool] = (
            (lambda attempt: settle(attempt, SUCCEEDED)) if middleware else attempts.succeed
        )

    def failed(self, attempt: Attempt, error: BaseException, started: float) -> None:
        """The task raised: it runs again later, or is dead.

        Args:
            started: `time.perf_counter()` at the beginning of the attempt.
        """
        self._failed(attempt, error, started, asks=True)

    def gave_up(self, attempt: Attempt, error: BaseException, started: float) -> None:
        """The attempt is stuck and the worker ends. The function of the option `retry` is
        not called: it might keep the worker from ending."""
        self._failed(attempt, error, started, asks=False)

    def decide(self, attempt: Attempt, error: BaseException, who: str | None) -> Outcome:
        """Decides what follows from a failure, for the middleware of an attempt. `failed` settles
        the attempt so.

        Args:
            who: the middleware that has raised the error; None: the task has.
        """
        self._decided[attempt] = decided = self._after_failure(attempt, error, True, who)
        return decided[0]

    def has_decided(self, attempt: Attempt) -> bool:
        """Whether `decide` has decided about an attempt that is not settled yet."""
        return attempt in self._decided

    def leave_open(self, attempt: Attempt, generator: AnyGenerator) -> None:
        """Closes a generator of a middleware as soon as the attempt is settled."""
        self._open.setdefault(attempt, []).append(generator)

    def middleware_failed(self, attempt: Attempt, who: str, error: BaseException) -> None:
        """A middleware raised after a failure, or after the end, which it can't change."""
        text, trace = FailureText.of(error)
        self._events.middleware_failed(attempt, f"{who}: {text}", trace)

    def _failed(self, attempt: Attempt, error: BaseException, started: float, asks: bool) -> None:
        decided = self._decided.pop(attempt, None)
        if not attempt.settled:
            outcome, fault = decided or self._after_failure(attempt, error, asks)
            if fault is not None:
                self._events.retry_fault(attempt, started, *fault)
            with self._failing:
                # A stuck task was settled when the worker gave up on it.
                if not attempt.settled:
                    if not asks:
                        self.ended[attempt] = outcome
                    self._end(attempt, outcome, started)
        for generator in self._open.pop(attempt, ()):
            # An event loop closes an async one that nothing refers to.
            if isinstance(generator, GeneratorType):
                with suppress(BaseException):
                    generator.close()

    def recover(self, attempt: Attempt, error: BaseException, started: float) -> None:
        """The worker itself raised `error` when it handled the end of an attempt. The task's
        exception or result may be the cause, so this counts as the task's failure.

        Settles the attempt without middleware, which may have raised the error.
        """
        text, trace = FailureText.of(error)
        self._events.settling_failed(attempt, started, text, trace)
        with self._failing:
            if attempt.settled:
                return
            # Without the rules for the task's exceptions: this one is the worker's.
            outcome: Outcome
            if attempt.retries < attempt.max_retries:
                delay = retry_delay(attempt.task.terms, attempt.retries)
                outcome = Retried(error, trace, text, delay)
            else:
                outcome = Dead(error, trace, text, FAILED)
            if outcome.settle(self._attempts, attempt):
                outcome.log(self._events, attempt, started)
            else:
                self.void(attempt, started)

    def _after_failure(
        self, attempt: Attempt, error: BaseException, asks: bool, who: str | None = None
    ) -> tuple[Outcome, FailureText | None]:
        """Returns the outcome, and the mistake of a `Retry` or of the function `retry`."""
        if attempt in self.cancelling:
            return Cancelled(error), None
        task: RegisteredTask = attempt.task
        misfit = is_a(error, ConversionError)
        if who is None and (misfit or (is_a(error, TypeError) and not _fits(attempt, task))):
            text, trace = FailureText.of(error)
            return Dead(error, trace, text, "arguments"), None
        decision = task.retry_rules.decide(attempt, error, asks=asks)
        if decision.snoozes and decision.delay is not None and decision.decisive is not None:
            why = text_of(decision.decisive, REASON_LENGTH)
            return Snoozed(reason=why, delay=decision.delay), decision.fault
        # Not before: to format a traceback takes longer than most tasks.
        text, trace = FailureText.of(error)
        # By identity: an exception may have redefined its comparison.
        if (
            decision.delay is None
            and (member := decision.decisive) is not None
            and member is not error
        ):
            text = describe_member(member, error)
        if who is not None:
            text = cut(f"{who}: {text}")
        if decision.delay is None:
            return Dead(error, trace, text, decision.reason), decision.fault
        return Retried(error, trace, text, decision.delay), decision.fault

    def release(self, attempt: Attempt, started: float) -> None:
        """The worker stops: the task returns to its queue."""
        self._end(attempt, RELEASED, started)

    def _end(self, attempt: Attempt, outcome: Outcome, started: float) -> None:
        if self._settle(attempt, outcome):
            outcome.log(self._events, attempt, started)
        else:
            self.void(attempt, started)

    def released(self, attempt: Attempt, started: float) -> None:
        """`Consumer.release_running` has given the task back."""
        self.ended[attempt] = RELEASED
        self._note(attempt, RELEASED)
        RELEASED.log(self._events, attempt, started)

    def void(self, attempt: Attempt, started: float) -> None:
        """The lease was lost: another worker has the task, and the outcome is void."""
        if not self.releasing:
            self._events.lost_lease(attempt, started)


def _fits(attempt: Attempt, task: RegisteredTask) -> bool:
    """Whether the attempt's arguments fit the task's signature. Only a TypeError raises
    the question: to check before every call would cost more than the call."""
    try:
        task.check(*attempt.args, **(attempt.kwargs or {}))
    except TypeError:
        return False
    return True
