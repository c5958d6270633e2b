"""Decides whether a failed attempt is retried, and when.

Why: docs/decisions/0083-retry-on-is-a-filter-or-a-table.md and
docs/decisions/0084-a-group-is-judged-by-its-members.md
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from fluxqueue.option_checks import LONGEST_DELAY, check_delay
from fluxqueue.options import Terms
from fluxqueue.retry_checks import RetryFunction, classes_of, policies_of
from fluxqueue.retry_errors import Reject, Retry, Snooze
from fluxqueue_core import Attempt
from fluxqueue_core.exception_text import is_a, members_of

from .error_text import own_frame
from .failure_text import FailureText

# Reasons of the dead set (docs/protocol.md).
FAILED = "failed"
REJECTED = "rejected"
NO_RETRY_ON = "no_retry_on"
NOT_IN_RETRY_ON = "not_in_retry_on"
RETRY_REFUSED = "retry_refused"
SNOOZED_TOO_OFTEN = "snoozed_too_often"

# Seconds that the function of the option `retry` may take before the log says so.
PATIENCE = 1.0

_bases: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a failed attempt is retried, and when.

    Attributes:
        delay: seconds until the next attempt; None means that the task is dead.
        reason: why it is dead.
        snoozes: the task has put itself off, which is not a failure.
        decisive: the exception that decided so, in a group or alone; None if no single one
            did.
        fault: the mistake of a `Retry` or of the function. If they gave nothing that is a
            delay, `delay` is the default one. It is text, because an exception would keep
            the frames that keep the decision.
    """

    delay: float | None = None
    reason: str = FAILED
    snoozes: bool = False
    decisive: BaseException | None = None
    fault: FailureText | None = None


def chance() -> float:
    """A uniformly distributed random number in [0, 1). It comes from the system, so
    workers that were forked from one process draw different numbers."""
    return int.from_bytes(os.urandom(6)) / 2**48


def retry_delay(terms: Terms, retries: int, random: Callable[[], float] = chance) -> float:
    """Seconds until the task runs again, after its failure number `retries` + 1.

    Exponential back-off with "equal jitter" (M. Brooker, "Exponential Backoff
    and Jitter", AWS Architecture Blog, 2015): with

        d = min(retry_delay * retry_backoff ** retries, retry_max_delay)

    or with d from `retry_delays`, it is uniform in [d / 2, d): tasks that fail
    together are tried again at different times, and never before half of the delay
    that you asked for. Without jitter it is d.
    """
    most = min(terms.retry_max_delay, LONGEST_DELAY)
    if (delays := terms.retry_delays) is not None:
        delay = float(delays[min(retries, len(delays) - 1)])
    else:
        try:
            delay = terms.retry_delay * float(terms.retry_backoff) ** retries
        except OverflowError:
            delay = most
        # Also for infinity times zero, which is not a number.
        if not delay < most:
            delay = most
    return delay / 2 + random() * delay / 2 if terms.jitter else delay


@dataclass(frozen=True, slots=True, eq=False)
class _Policy:
    """The terms for one class of exceptions; `max_retries` replaces that of the message."""

    terms: Terms
    max_retries: int | None = None

    def limit(self, attempt: Attempt) -> int:
        return attempt.max_retries if self.max_retries is None else self.max_retries


class RetryRules:
    """The rules of one task, made once when the worker loads it."""

    __slots__ = ("_default", "_function", "_groups", "_max_snoozes", "_never", "_only")

    def __init__(self, terms: Terms) -> None:
        self._function = terms.retry
        self._default = _Policy(terms)
        self._max_snoozes = terms.max_snoozes
        # Classes are known by id: the metaclass of an exception may have redefined its hash.
        # The terms keep the classes alive.
        self._never = {id(kind): self._default for kind in classes_of(terms.no_retry_on)}
        self._only: dict[int, _Policy] | None = None
        if terms.retry_on is not None:
            self._only = {id(kind): self._default for kind in classes_of(terms.retry_on)}
            for kind, policy in policies_of(terms.retry_on):
                self._only[id(kind)] = _Policy(terms.under(policy), policy.max_retries)
        named = (*classes_of(terms.no_retry_on), *classes_of(terms.retry_on))
        self._groups = {
            id(kind): self._default for kind in named if issubclass(kind, BaseExceptionGroup)
        }

    @own_frame
    def decide(self, attempt: Attempt, error: BaseException, *, asks: bool = True) -> Decision:
        """Returns what follows from the failure of an attempt.

        The first of these rules that applies decides: `Reject`, `Snooze`, `no_retry_on`,
        `retry_on`, the number of retries, the function `retry`.

        Args:
            asks: whether to call the function `retry`.
        """
        members = self._members(error)
        for each in members:
            if is_a(each, Reject):
                return Decision(reason=REJECTED, decisive=each)
        snoozing = [each for each in members if is_a(each, Snooze)]
        if len(snoozing) == len(members):
            return self._snooze(attempt, snoozing)
        # One that failed decides for those that put themselves off.
        members = [each for each in members if not is_a(each, Snooze)]
        asking = [each for each in members if is_a(each, Retry)]
        others = [each for each in members if not is_a(each, Retry)]
        for each in others:
            if _of_class(each, self._never) is not None:
                return Decision(reason=NO_RETRY_ON, decisive=each)
        policies = set()
        for each in others:
            if (policy := self._policy(each)) is None:
                return Decision(reason=NOT_IN_RETRY_ON, decisive=each)
            policies.add(policy)
        found = [*policies]
        everyone = [*found, self._default] if asking else found
        if any(attempt.retries >= each.limit(attempt) for each in everyone):
            return Decision(reason=FAILED)
        given, fault = _given_delays(asking)
        if len(given) < len(asking):
            found = everyone
        if not found:
            return Decision(max(given))
        if asks and self._function is not None:
            try:
                computed, slow = _ask(self._function, attempt.retries + 1, error)
            except BaseException as wrong:  # noqa: BLE001 - no function may end the worker
                fault = FailureText.of(wrong)
            else:
                fault = slow or fault
                if computed is None:
                    return Decision(reason=RETRY_REFUSED, fault=fault)
                return Decision(max([computed, *given]), fault=fault)
        given += [retry_delay(each.terms, attempt.retries) for each in found]
        return Decision(max(given), fault=fault)

    def _snooze(self, attempt: Attempt, snoozing: Sequence[BaseException]) -> Decision:
        if attempt.snoozes >= self._max_snoozes:
            return Decision(reason=SNOOZED_TOO_OFTEN, decisive=snoozing[0])
        given, fault = _given_delays(snoozing)
        delay = max(given) if given else retry_delay(self._default.terms, 0)
        return Decision(delay, snoozes=True, decisive=snoozing[0], fault=fault)

    def _policy(self, error: BaseException) -> _Policy | None:
        return self._default if self._only is None else _of_class(error, self._only)

    def _members(self, error: BaseException) -> list[BaseException]:
        """The exceptions in a group and in the groups in it; the error itself if it is not
        a group, or if the options name its class."""
        members = []
        seen = set()
        left = [error]
        while left:
            each = left.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            if is_a(each, BaseExceptionGroup) and _of_class(each, self._groups) is None:
                left += reversed(members_of(each))
            else:
                members.append(each)
        return members


def _of_class(error: BaseException, table: dict[int, _Policy]) -> _Policy | None:
    """The entry for the most specific class of the error."""
    return next((table[id(base)] for base in _bases(type(error)) if id(base) in table), None)


def _given_delays(errors: Sequence[BaseException]) -> tuple[list[float], FailureText | None]:
    """The delays that these `Retry` or `Snooze` give, and what is wrong with one."""
    delays: list[float] = []
    fault: FailureText | None = None
    for each in errors:
        try:
            delay: object = each.delay  # type: ignore[attr-defined]
            if delay is not None:
                delays.append(_seconds(f"delay of {type(each).__name__}", delay))
        except BaseException as wrong:  # noqa: BLE001 - of a subclass of the application
            fault = FailureText.of(wrong)
    return delays, fault


@own_frame
def _ask(
    function: RetryFunction, attempt: int, error: BaseException
) -> tuple[float | None, FailureText | None]:
    """The seconds that the function of the option `retry` gives, and a complaint if it was
    slow.

    Raises:
        TypeError, ConfigurationError: it returned something else.
        BaseException: what it raised.
    """
    began = perf_counter()
    found: object = function(attempt, error)
    took = perf_counter() - began
    slow = None
    if took > PATIENCE:
        slow = FailureText(
            f"the function in retry took {took:.1f} s, in which the worker's slot was not free; "
            f"it must not wait",
            "",
        )
    if inspect.iscoroutine(found):
        found.close()
    return None if found is None else _seconds("the result of the function in retry", found), slow


def _seconds(name: str, value: object) -> float:
    check_delay(name, value)
    return float(value)  # type: ignore[arg-type]
