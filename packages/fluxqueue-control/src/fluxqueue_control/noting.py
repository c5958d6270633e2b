"""Writes entries of the audit by themselves, around a change of many calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import redis

from .errors import UNAVAILABLE
from .redis_client import Audit, RedisClient, ScriptCall


def note(client: RedisClient, queue: str, audit: Audit, outcome: Mapping[str, int]) -> None:
    """Writes an entry by itself. A change of one call writes its entry in that call instead.
    Raises as
    `audit.read_page`."""
    words = ("note", *(f"{word}={count}" for word, count in outcome.items()))
    client.call(ScriptCall("operate", queue, words, audit=audit))


@contextmanager
def noted(client: Callable[[], RedisClient], queue: str, audit: Audit) -> Iterator[Counter[str]]:
    """Writes two entries around a change of many calls. The caller counts the answers.

    Nothing begins if the first entry can't be written. If the process is killed, or Redis is
    unreachable at the end, there is no second one.
    """
    note(client(), queue, audit, {"begun": 1})
    outcome: Counter[str] = Counter()
    try:
        yield outcome
    except BaseException:
        with suppress(redis.RedisError, *UNAVAILABLE):
            note(client(), queue, audit, {**outcome, "stopped": 1})
        raise
    note(client(), queue, audit, {**outcome, "ended": 1})
