"""The options of a task: the type, the check and the documentation of each.

Why two classes: docs/decisions/0051-an-option-has-one-home.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from . import peer_names
from .callbacks import OnFailure, callback_json, check_on_failure
from .errors import ConfigurationError
from .limit_checks import (
    LimitKey,
    check_limit,
    check_limit_key,
    check_limit_options,
    route_limit,
)
from .middleware import Middleware
from .middleware_checks import check_middleware, wraps_calls
from .option_checks import (
    Check,
    check_amount,
    check_bool,
    check_burst,
    check_concurrency,
    check_number,
    check_priority,
    check_rate,
    check_retries,
    check_seconds,
    check_snoozes,
    check_timeout,
)
from .retry_checks import (
    Exceptions,
    RetryFunction,
    RetryOn,
    check_contradictions,
    check_exceptions,
    check_overlap,
    check_retry_function,
    check_retry_on,
    frozen,
    policies_of,
)
from .retry_delays import Delays, check_delays, check_enough_retries
from .unique import (
    DEFAULT_TTL,
    OnConflict,
    Unique,
    UniqueUntil,
    check_on_conflict,
    check_together,
    check_ttl,
    check_unique,
    check_until,
    sent_by_route,
)

if TYPE_CHECKING:
    from .limits import Limit
    from .retry_policy import RetryPolicy

Decorator = TypeVar("Decorator", bound=Callable[..., Any])


class TaskOptions(TypedDict, total=False):
    """The options that `FluxQueue.task` takes by keyword.

    Attributes:
        retry_delay: seconds before the first retry.
        retry_backoff: the factor from one delay to the next, 1 or more.
        retry_max_delay: the longest delay, in seconds.
        retry_delays: the delay of each retry, in seconds, in place of the three options
            above; the last one repeats.
        jitter: whether each delay is shortened at random, by up to a half, so that tasks
            that failed together are not retried together.
        retry_on: the exception class, or a tuple of them, to retry; after other exceptions
            the task is dead at once. A mapping from classes to `RetryPolicy` also says how
            to retry. None means every exception.
        no_retry_on: the exception class, or a tuple of them, after which the task is dead
            at once.
        retry: a function of the attempt (from 1 on) and the error that returns the seconds
            until the next attempt, or None, after which the task is dead at once.
        max_snoozes: how many times the task may put itself off by `Snooze`; the next time
            it is dead.
        timeout: seconds that one attempt may take; None means no limit. At the timeout an
            async task is cancelled, and a sync task gets a `TaskTimeout` between two
            bytecodes; either counts as a failure. docs/workers.md says what can't be
            interrupted.
        expires: seconds from the call, after which no attempt begins: the task ends as
            expired. Redis' clock decides, and a retry does not extend the time. None means
            never.
        priority: 0 to 9: of the tasks that wait in a queue, those with a higher priority
            begin first. Retries keep it.
        result_ttl: seconds for which Redis keeps the outcome of the task, for
            `TaskHandle.result`; None means that it does not.
        on_failure: a task, or the name of one, to call with a `Failure` when this one is
            dead or has expired. None means no such call.
        unique: while a task for the same call waits or runs, no other one is enqueued.
            Calls are the same if all arguments are equal (True), if these parameters are
            equal (a tuple of names), or if a function of the arguments returns the same
            value. See docs/unique.md.
        unique_until: how long the task keeps others out: until it has ended (`"done"`), or
            until it begins (`"start"`), so that a call made while it runs is enqueued.
        unique_ttl: seconds after which a task that shows no sign of life no longer keeps
            others out: a safety net for tasks removed by hand.
        on_conflict: what a call does that finds the same task: `"skip"` returns its handle,
            `"raise"` raises `DuplicateTask`, and `"replace"` replaces it while it is
            delayed, if its own call had `"replace"` too.
        debounce: the task begins this many seconds after the last of several equal calls,
            with its arguments. Needs `max_wait`.
        max_wait: the task begins at most this many seconds after the first of these calls.
        throttle: seconds in which at most one of several equal calls is enqueued.
        concurrency: how many of these tasks run at once, across all workers of the queue.
            The others wait in Redis, in order. None means any number. See docs/limits.md.
        rate: how many of these tasks begin in a period, at even intervals: `"25/s"`,
            `"100/m"` or `"10/30s"`. None means any number.
        burst: how many of them may begin at once after a quiet time. Needs `rate`.
        limit: a limit from `FluxQueue.limit` that several tasks of the queue share, in
            place of the three options above.
        limit_key: what tasks of one key have in common: the name of a parameter, a tuple of
            names, or a function of the arguments. None: all tasks share one key.
        max_per_worker: how many of these tasks run at once in one worker process. None
            means no cap.
        middleware: instances of `fluxqueue.Middleware` around the attempts and the calls of
            this task, inside of those of its `FluxQueue`. See docs/middleware.md.
    """

    retry_delay: float
    retry_backoff: float
    retry_max_delay: float
    retry_delays: Delays | None
    jitter: bool
    retry_on: RetryOn | None
    no_retry_on: Exceptions | None
    retry: RetryFunction | None
    max_snoozes: int
    timeout: float | None
    expires: float | None
    priority: int
    result_ttl: float | None
    on_failure: OnFailure | None
    unique: Unique | None
    unique_until: UniqueUntil
    unique_ttl: float
    on_conflict: OnConflict
    debounce: float | None
    max_wait: float | None
    throttle: float | None
    concurrency: int | None
    rate: str | None
    burst: int | None
    limit: Limit | None
    limit_key: LimitKey | None
    max_per_worker: int | None
    middleware: Sequence[Middleware]


def option(
    default: Any,
    check: Check,
    *,
    sent: bool = False,
    of_caller: bool = False,
    encode: Callable[[Any], Any] = lambda value: value,
) -> Any:
    """Makes a field of `Terms`.

    Args:
        sent: whether messages carry the value. If so, `Route` takes it by the same name.
        of_caller: whether callers need it, although no message carries it.
        encode: returns the value as `Route` takes it.
    """
    metadata = {"check": check, "sent": sent, "of_caller": of_caller, "encode": encode}
    return field(default=default, metadata=metadata)


# Without the methods that `dataclass` would compile at each import.
# Why: docs/decisions/0285-an-import-loads-what-plain-tasks-need.md
@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class Terms:
    """The terms under which a task runs, as its code declares them.

    The client and the worker share this record. Retry number n waits
    `retry_delay * retry_backoff ** (n - 1)` seconds, at most `retry_max_delay`, or
    `retry_delays[n - 1]`; the worker adds jitter. `max_retries=0` means one attempt.

    Raises:
        TypeError: a value has the wrong type.
        ConfigurationError: a value is out of range, or contradicts another one.
    """

    max_retries: int = option(MISSING, check_retries, sent=True)
    retry_delay: float = option(1.0, check_number(0))
    retry_backoff: float = option(2.0, check_number(1))
    retry_max_delay: float = option(3600.0, check_number(0))
    retry_delays: Delays | None = option(None, check_delays)
    jitter: bool = option(True, check_bool)
    retry_on: RetryOn | None = option(None, check_retry_on)
    no_retry_on: Exceptions | None = option(None, check_exceptions)
    retry: RetryFunction | None = option(None, check_retry_function)
    max_snoozes: int = option(1_000, check_snoozes)
    timeout: float | None = option(None, check_timeout, sent=True)
    expires: float | None = option(None, check_seconds("no expiry"), sent=True)
    priority: int = option(0, check_priority, sent=True)
    result_ttl: float | None = option(None, check_seconds("no result"), sent=True)
    on_failure: OnFailure | None = option(None, check_on_failure, sent=True, encode=callback_json)
    unique: Unique | None = option(None, check_unique, of_caller=True)
    unique_until: UniqueUntil = option("done", check_until, of_caller=True)
    unique_ttl: float = option(DEFAULT_TTL, check_ttl, of_caller=True)
    on_conflict: OnConflict = option("skip", check_on_conflict, of_caller=True)
    debounce: float | None = option(None, check_seconds("no debounce"), of_caller=True)
    max_wait: float | None = option(None, check_seconds("no max_wait"), of_caller=True)
    throttle: float | None = option(None, check_seconds("no throttle"), of_caller=True)
    concurrency: int | None = option(None, check_concurrency, of_caller=True)
    rate: str | None = option(None, check_rate, of_caller=True)
    burst: int | None = option(None, check_burst, of_caller=True)
    limit: Limit | None = option(None, check_limit, of_caller=True)
    limit_key: LimitKey | None = option(None, check_limit_key, of_caller=True)
    max_per_worker: int | None = option(None, check_amount("no cap"))
    middleware: Sequence[Middleware] = option((), check_middleware, of_caller=True)

    def __init__(self, max_retries: int, **options: Unpack[TaskOptions]) -> None:
        given: dict[str, Any] = {"max_retries": max_retries, **options}
        for each in fields(self):
            value = given.get(each.name, each.default)
            each.metadata["check"](each.name, value)
            object.__setattr__(self, each.name, value)
        if self.retry_delay > self.retry_max_delay:
            raise ConfigurationError(
                f"retry_delay is {self.retry_delay} s, above retry_max_delay "
                f"({self.retry_max_delay} s); lower the one or raise the other"
            )
        check_overlap(self.retry_on, self.no_retry_on)
        if self.unique is False:
            object.__setattr__(self, "unique", None)
        elif self.unique is None and (self.debounce is not None or self.throttle is not None):
            object.__setattr__(self, "unique", True)
        # The caller may change its list or dict later.
        if self.retry_delays is not None:
            object.__setattr__(self, "retry_delays", tuple(self.retry_delays))
        object.__setattr__(self, "retry_on", frozen(self.retry_on))
        object.__setattr__(self, "middleware", tuple(self.middleware))
        for kind, policy in policies_of(self.retry_on):
            self._check_policy(kind, policy)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Terms) and all(
            getattr(self, each.name) == getattr(other, each.name) for each in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]  # a mapping may be in it

    def under(self, policy: RetryPolicy) -> Terms:
        """Returns these terms as a policy of `retry_on` changes them."""
        return replace(self, retry_on=None, no_retry_on=None, **policy.overrides())

    def _check_policy(self, kind: type[BaseException], policy: RetryPolicy) -> None:
        try:
            under = self.under(policy)
            check_enough_retries("delays of RetryPolicy", policy.delays, under.max_retries)
        except ConfigurationError as error:
            raise ConfigurationError(f"retry_on[{kind.__name__}]: {error}") from None

    def sent(self) -> dict[str, Any]:
        """Returns the values that messages carry, as arguments of `Route`."""
        sent = {
            f.name: f.metadata["encode"](getattr(self, f.name))
            for f in fields(self)
            if f.metadata["sent"]
        }
        return sent if self.unique is None else sent | sent_by_route(self)

    def of_route(self, task_name: str) -> dict[str, Any]:
        """Returns the arguments of the `Route` of this task's calls."""
        limit = route_limit(self, task_name)
        return self.sent() if limit is None else self.sent() | {"limit": limit}

    @property
    def needs_view(self) -> bool:
        """Whether each call passes the view for calls with options: it wants a lock, has a
        limit, or there is middleware around it."""
        return self.unique is not None or self.is_limited or wraps_calls(self.middleware)

    @property
    def is_limited(self) -> bool:
        """Whether a limit may make the tasks wait in Redis."""
        return any(value is not None for value in (self.limit, self.concurrency, self.rate))


def read_terms(
    decorator: str,
    max_retries: int,
    options: TaskOptions,
    middleware: Sequence[Middleware] = (),
) -> Terms:
    """Returns the terms that the arguments of a decorator state.

    Args:
        decorator: the decorator's name, for the message.
        middleware: that of all tasks, around the task's own.

    Raises:
        TypeError: an option is unknown, or a value has the wrong type.
        ConfigurationError: a value is out of range, or contradicts another one.
    """
    for name in options:
        if name not in TaskOptions.__optional_keys__:
            raise TypeError(_unknown(decorator, name))
    given = {name for name, value in options.items() if value is not None}
    check_contradictions(given, options.get("retry_on"))
    check_together(given, options)
    check_limit_options(given)
    terms = Terms(max_retries, **options)
    check_enough_retries("retry_delays", terms.retry_delays, max_retries)
    if middleware:
        terms = replace(terms, middleware=(*middleware, *terms.middleware))
    return terms


def _unknown(decorator: str, name: str) -> str:
    import difflib  # only needed after a mistake

    known = ["name", "queue", *(each.name for each in fields(Terms))]
    same = peer_names.OPTIONS.get(name)
    closest = [same] if same else difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean {closest[0]}?" if closest else f"it takes {', '.join(known)}"
    if name == "bind":
        advice = "@fluxqueue.task_with_context() gives a task its context"
    return f"{decorator}() has no option {name!r}; {advice}"


def shows_options(decorator: Decorator) -> Decorator:
    """Lists the options in a decorator's signature and docstring, for `help()`."""
    signature = inspect.signature(decorator)
    named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type
        )
        for each in fields(Terms)
        if each.name in TaskOptions.__optional_keys__
    ]
    decorator.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*named, *options]
    )
    if decorator.__doc__ and TaskOptions.__doc__:  # python -OO removes both
        _, _, lines = inspect.cleandoc(TaskOptions.__doc__).partition("Attributes:")
        decorator.__doc__ = f"{inspect.cleandoc(decorator.__doc__)}\n\nOptions:{lines}"
    return decorator
