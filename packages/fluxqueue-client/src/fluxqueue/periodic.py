"""Periodic tasks: their options, and what Redis gets of them.

Imported only by programs that have periodic tasks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

from fluxqueue_core.periodic import cron as crons
from fluxqueue_core.periodic.record import Rules, line_digest, lock_digest, make, template_id
from fluxqueue_core.periodic.times import Times

from .call_options import read_eta, read_options, read_span
from .call_rules import CallRules, call_rules
from .errors import ConfigurationError
from .limit_rule import limit_rule
from .option_checks import check_seconds, kind_of, shown_number
from .task_call import NO_OPTIONS, TaskCall, as_json, route_of
from .unique import DEFAULT_TTL, RouteLock

CatchUp: TypeAlias = Literal["none", "latest"] | int
Expires: TypeAlias = Literal["next"] | float | timedelta | None
Overlap: TypeAlias = Literal["allow", "skip", "queue"]

# How many missed runs may be caught up at once.
MOST_CAUGHT_UP = 100
MOST_ID_CHARACTERS = 128
# ms: a second, and a year.
SHORTEST_INTERVAL = 1_000
LONGEST_INTERVAL = 365 * 86_400_000
DAY = 86_400_000
# Names in the folder of time zones that say nothing of a place.
ZONES_OF_A_MACHINE = frozenset({"localtime", "posixrules", "Factory"})
# Options of a call that contradict a periodic task.
_REFUSED = {
    "delay": "jitter=... delays its runs",
    "eta": "start=... is its first date",
    "task_id": "each run has an id made of the periodic task's id and the moment",
    "expires_at": "expires=... of the periodic task is an interval",
}
_check_expiry = check_seconds("no expiry", "seconds, a timedelta, 'next'")
# The lock of runs that may not overlap; its time begins again with each retry and rescue.
_RUN_LOCK = RouteLock("skip", round(DEFAULT_TTL * 1_000), False, 0)
# The limit of runs that wait for each other: one at once, at any rate.
_RUN_LIMIT = (1, 0, 1)


# The default of `expires`.
NOT_GIVEN: Any = object()


class PeriodicOptions(TypedDict, total=False):
    """The options of a periodic task.

    Attributes:
        every: seconds or a timedelta, in place of a cron expression: at least 1 s. The moments
            are the multiples of it since `start`, or since 1970 (UTC).
        tz: the name of the expression's time zone, such as "Europe/Berlin". "UTC" by default.
        catch_up: which of the runs that were missed while no scheduler ran begin late: the
            "latest" (default), "none" of those that are more than a minute late, or how many
            (1 to 100).
        jitter: seconds or a timedelta by which each run is delayed at most, at random.
        expires: until when a run may begin: "next" (default): until the moment of the next
            one; seconds or a timedelta from its moment on; None: without a limit. A task with
            the option `expires` has that as the default; if runs may not overlap, it is None.
        overlap: whether a run may begin while the last one has not ended: "allow" (default),
            "skip": its moment is left out, or "queue": it waits.
        start: the first date, an aware datetime.
        end: the last date, an aware datetime.
    """

    every: float | timedelta | None
    tz: str
    catch_up: CatchUp
    jitter: float | timedelta | None
    expires: Expires
    overlap: Overlap
    start: datetime | None
    end: datetime | None


class Scheduled(NamedTuple):
    """A periodic task as the script `schedule` gets it."""

    id: bytes
    record: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A periodic task, checked.

    Attributes:
        id: its id in its queue.
        call: what its runs call.
        rules: when and how.
    """

    id: str
    call: TaskCall[Any]
    rules: Rules

    @property
    def queue(self) -> str:
        """The queue of its runs."""
        queue: str = self.call.options.get("queue", self.call.task.queue)
        return queue

    def scheduled(self, *, declared: bool) -> Scheduled:
        """Returns what Redis gets.

        Raises:
            ArgumentTypeError, ArgumentValueError, MessageTooLarge: the runs can't be sent.
        """
        task, call = self.call.task, self.call
        # The script `tick` replaces the time of the expiry by its moment.
        expires = None if self.rules.expires is None else 1.0
        options, lock, call_lock = {**call.options, "expires": expires}, None, None
        if self.rules.overlap == "skip":
            lock, call_lock = _RUN_LOCK, (lock_digest(self.id), "", False)
            options["unique"] = False  # its own, if it is declared as unique
        waits = self.rules.overlap == "queue"
        route = route_of(task, options, lock=lock, limit=_RUN_LIMIT if waits else None)
        producer = task._producer
        periodic = template_id(producer.namespace, self.queue, self.id)
        headers = as_json(call.options.get("headers"))
        try:
            rules = CallRules(None, limit_rule(task))
            _, limit = rules.wanted(call.args, call.kwargs, call.keys, has_chosen_id=True)
            if waits:
                limit = line_digest(self.id), ""
            message = producer.message(
                route, call.args, call.kwargs, headers, periodic, call_lock, limit
            )
        except (TypeError, ValueError) as error:
            from .arguments import explain

            where = f"periodic task {self.id!r} (queue {self.queue!r})"
            signature = task.__signature__
            raise explain(error, where, signature, call.args, call.kwargs) from None
        return Scheduled(self.id.encode(), make(self.rules, message, declared=declared), message)


def read(
    periodic: object, call: TaskCall[Any], cron: object, options: PeriodicOptions
) -> PeriodicTask:
    """Returns a periodic task, checked.

    Raises:
        TypeError: an option is unknown, or a value has the wrong type.
        ConfigurationError: a value is out of range, or the expression can't be read or has
            no moment.
    """
    for name in options:
        if name not in PeriodicOptions.__optional_keys__:
            known = ", ".join(["cron", "id", *PeriodicOptions.__annotations__])
            raise TypeError(f"a periodic task has no option {name!r}; it takes {known}")
    for name, advice in _REFUSED.items():
        if name in call.options:
            raise ConfigurationError(f"a periodic task has no option {name!r} of a call; {advice}")
    if call.options.get("unique", call.task.terms.unique) not in (None, False):
        raise ConfigurationError(
            f"task {call.task.task_name!r} is unique, and runs of periodic tasks want no such lock;"
            f' add the option unique=False to the call, and overlap="skip" if runs may not overlap'
        )
    times = _read_times(cron, options)
    jitter = options.get("jitter")
    delay = 0 if jitter is None else read_span("jitter", jitter)
    if delay > DAY:
        raise ConfigurationError(f"jitter is {jitter}; give a day at most")
    overlap = _read_overlap(options, is_limited=call.task.terms.is_limited)
    expires = _read_expires(options.get("expires", NOT_GIVEN), call, overlap)
    rules = Rules(call.task.task_name, times, _read_catch_up(options), delay, expires, overlap)
    return PeriodicTask(read_id(periodic), call, rules)


def read_id(periodic: object) -> str:
    """Returns the id of a periodic task, checked.

    Raises:
        TypeError, ConfigurationError: it is not valid.
    """
    if not isinstance(periodic, str):
        raise TypeError(f"the id of a periodic task must be a str, not {kind_of(periodic)}")
    if not 1 <= len(periodic) <= MOST_ID_CHARACTERS or not periodic.isprintable():
        raise ConfigurationError(
            f"the id of a periodic task is {periodic[:200]!r}; give 1 to {MOST_ID_CHARACTERS} "
            f"printable characters"
        )
    return periodic


def call_of(task: Any, args: Any, kwargs: Any, options: Any) -> TaskCall[Any]:
    """Returns the call of a declared periodic task; raises as `task.options(...).call(...)`."""
    if not isinstance(args, tuple | list):
        raise TypeError(f"args must be a tuple, not {kind_of(args)}; write args=(value,)")
    for name, value in (("kwargs", kwargs), ("options", options)):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{name} must be a dict, not {kind_of(value)}")
    given = read_options(NO_OPTIONS, {} if options is None else options)
    args, kwargs = tuple(args), dict(kwargs or {})
    rules = call_rules(task, given)
    keys = None if rules is None else rules.keys(task, args, kwargs)
    args, kwargs = task._prepared(args, kwargs)
    return TaskCall(task, given, args, kwargs, keys)


def _read_times(cron: object, options: PeriodicOptions) -> Times:
    every = options.get("every")
    if (cron is None) == (every is None):
        raise ConfigurationError(
            "give a cron expression or every=..., and not both: "
            '"*/5 * * * *" or every=timedelta(minutes=5)'
        )
    tz = options.get("tz", "UTC")
    start, end = (
        None if (value := options.get(name)) is None else read_eta(name, value)
        for name in ("start", "end")
    )
    if start is not None and end is not None and end < start:
        raise ConfigurationError("end is before start; exchange them, or leave one out")
    if every is not None:
        if options.get("tz") is not None:
            raise ConfigurationError("tz is for a cron expression; an interval has no time zone")
        interval = read_span("every", every)
        if not SHORTEST_INTERVAL <= interval <= LONGEST_INTERVAL:
            raise ConfigurationError(f"every is {every}; give 1 second to 365 days")
        return Times(every=interval, start=start, end=end)
    if not isinstance(cron, str):
        raise TypeError(f"the cron expression must be a str, not {kind_of(cron)}")
    if not isinstance(tz, str):
        raise TypeError(f"tz must be the name of a time zone, not {kind_of(tz)}")
    if tz in ZONES_OF_A_MACHINE:
        raise ConfigurationError(
            f"tz is {tz!r}, which is another zone on another machine, where a scheduler may run; "
            f"give a name such as Europe/Berlin"
        )
    crons.zone(tz)
    expression = crons.check(cron)
    if crons.after(expression, tz, int(time.time() * 1_000)) is None:
        raise ConfigurationError(
            f"the cron expression {cron!r} has no moment in the next 50 years; is its day in one "
            f"of its months?"
        )
    return Times(cron=expression, tz=tz, start=start, end=end)


def _read_catch_up(options: PeriodicOptions) -> int:
    catch_up = options.get("catch_up", "latest")
    if catch_up == "none":
        return 0
    if catch_up == "latest":
        return 1
    if not isinstance(catch_up, int) or isinstance(catch_up, bool):
        raise TypeError(f"catch_up must be 'none', 'latest' or an int, not {catch_up!r}")
    if not 1 <= catch_up <= MOST_CAUGHT_UP:
        raise ConfigurationError(
            f"catch_up is {shown_number(catch_up)}; give 1 to {MOST_CAUGHT_UP}, 'none' or 'latest'"
        )
    return catch_up


def _read_overlap(options: PeriodicOptions, *, is_limited: bool) -> str | None:
    overlap: object = options.get("overlap", "allow")
    if not isinstance(overlap, str):
        raise TypeError(f"overlap must be 'allow', 'skip' or 'queue', not {kind_of(overlap)}")
    if overlap not in ("allow", "skip", "queue"):
        raise ConfigurationError(f"overlap is {overlap!r}; give 'allow', 'skip' or 'queue'")
    if overlap == "queue" and is_limited:
        raise ConfigurationError(
            "overlap='queue' is a limit of one run at once, and the task has a limit, of which a "
            "task has one; give overlap='skip', or concurrency=1 to the task"
        )
    return None if overlap == "allow" else overlap


def _read_expires(expires: object, call: TaskCall[Any], overlap: str | None) -> int | str | None:
    if expires is NOT_GIVEN:
        expires = call.options.get("expires", call.task.terms.expires)
        if expires is None:
            # With a lock at most one run waits. It would keep its lock beyond its expiry, until
            # a worker ends it.
            return "next" if overlap is None else None
    if expires is None or expires == "next":
        return None if expires is None else "next"
    if isinstance(expires, str):
        raise ConfigurationError(
            f"expires is {expires!r}; give seconds, a timedelta, 'next' or None"
        )
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    _check_expiry("expires", expires)
    assert isinstance(expires, float | int)
    return max(round(expires * 1_000), 1)
