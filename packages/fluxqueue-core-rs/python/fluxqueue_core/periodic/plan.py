"""Decides what happens when the moment of a periodic task has come: which runs begin, which
are missed, and which moment is next."""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

from .record import Rules

# A run that is later than this (ms) counts as missed, if `catch_up` is "none".
LATE = 60_000


# A limit that no run reaches, for messages that need one (ms since 1970).
FAR = 9_999_999_999_999


class Plan(NamedTuple):
    """The last three values of a periodic task in the arguments of the script `tick`."""

    next: int | str
    limit: int | str
    events: str


def first(rules: Rules, since: float) -> Plan:
    """Returns the plan of a periodic task without a moment: the first one after `since` is next."""
    return Plan(_or_empty(rules.times.after(int(since))), "", "")


def single(periodic: str, rules: Rules, due: int, following: int | None) -> Plan:
    """Returns the plan of a moment that is not late: its run begins, and the moment that
    follows is next."""
    event = f"r{due}+{delay(periodic, due, rules.jitter)}"
    return Plan(_or_empty(following), limit(rules, due, following), event)


def on_time_until(rules: Rules, due: int, following: int | None) -> float:
    """Returns until when the plan `single` is right, in ms since 1970: no later moment has passed,
    and the run may still begin."""
    until = math.inf if following is None else following - 1
    return until if rules.catch_up > 0 else min(until, due + LATE)


def late(periodic: str, rules: Rules, due: int, now: int) -> Plan:
    """Returns the plan of a moment that is late: schedulers or Redis were down.

    Raises:
        ConfigurationError: this machine does not know the time zone.
    """
    following = rules.times.after(now)
    runs = rules.times.last(due, now, max(rules.catch_up, 1))
    if rules.catch_up == 0 and runs and now - runs[-1] > LATE:
        runs = []
    events = [f"m{due}"] if not runs or runs[0] > due else []
    events += [f"r{run}+{delay(periodic, run, rules.jitter)}" for run in runs]
    last = runs[-1] if runs else due
    return Plan(_or_empty(following), limit(rules, last, following), " ".join(events))


def limit(rules: Rules, moment: int, following: int | None) -> int | str:
    """Returns until when the run of a moment may begin, in ms since 1970; '' without a limit."""
    if rules.expires is None:
        return ""
    if rules.expires == "next":
        return FAR if following is None else following + rules.jitter
    return moment + rules.jitter + int(rules.expires)


def delay(periodic: str, moment: int, jitter: int) -> int:
    """Returns by how many ms a run is delayed: the same for each scheduler that asks."""
    if not jitter:
        return 0
    digest = hashlib.sha256(f"{periodic}\0{moment}".encode()).digest()
    return int.from_bytes(digest[:8]) % (jitter + 1)


def _or_empty(moment: int | None) -> int | str:
    return "" if moment is None else moment
