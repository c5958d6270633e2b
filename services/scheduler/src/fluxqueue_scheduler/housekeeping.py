"""Rare work: trimming the dead sets, and the search for orphans.

The search passes all keys of the database and finds what no index mentions: queues
that are not registered, and inboxes or claimed hashes of consumers that are missing
from the set of consumers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core import check_queue_name, key, key_kinds
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .error_log import ErrorLog, remedy
from .options import Options
from .queues import Queues

# Entries that one call of `trim_dead` removes at most.
TRIM_LIMIT = 500
# Keys that one step of the search passes, and the pause after it (seconds): a search of
# many millions of keys must not keep Redis busy.
PAGE = 1_000
PAGE_PAUSE = 0.005
LONGEST_PAUSE = 1.0


class Housekeeper:
    """Trims and searches, in small steps."""

    def __init__(
        self, client: RedisClient, queues: Queues, options: Options, error_log: ErrorLog
    ) -> None:
        self._client = client
        self._queues = queues
        self._options = options
        self._error_log = error_log
        now = time.monotonic()
        self._next_trim = now + min(LONGEST_PAUSE, options.trim_interval)
        self._to_trim: list[str] = []
        self._next_search = now + options.search_delay
        self._cursor: bytes | None = None

    def step(self) -> float:
        """Makes one call to trim and searches one page, if they are due; returns the
        seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        now = time.monotonic()
        if now >= self._next_trim and not self._to_trim:
            self._to_trim = list(self._queues.names)
            self._next_trim = now + self._options.trim_interval
        if now >= self._next_search and self._cursor is None:
            self._cursor = b"0"
            self._next_search = now + self._options.search_interval
        if self._to_trim:
            self._trim(self._to_trim[-1])
        if self._cursor is not None:
            self._search(self._cursor)
        if self._to_trim:
            return 0.0
        if self._cursor is not None:
            return PAGE_PAUSE
        return min(max(min(self._next_trim, self._next_search) - now, 0.0), LONGEST_PAUSE)

    def _trim(self, queue: str) -> None:
        arguments = (
            self._options.dead_max_count,
            round(self._options.dead_max_age * 1_000),
            TRIM_LIMIT,
        )
        removed = 0
        try:
            removed = int(self._client.call(ScriptCall("trim_dead", queue, arguments)))
        except ResponseError as error:
            self._error_log.report_queue(queue, "trim the dead set", error)
        if removed:
            get_logger().info("dead.trimmed", queue=queue, count=removed)
        if removed < TRIM_LIMIT:
            self._to_trim.pop()

    def _search(self, cursor: bytes) -> None:
        try:
            reply = self._client.command("SCAN", cursor, "MATCH", _pattern(), "COUNT", PAGE)
        except ResponseError as error:
            self._error_log.report(
                "search.failed", "", doing="SCAN", error=str(error), **remedy(error)
            )
            self._cursor = None
            return
        queues: set[str] = set()
        consumers: set[tuple[str, str]] = set()
        for name in reply[1]:
            found = parse_key(name)
            if found is not None:
                queue, consumer = found
                queues.add(queue)
                if consumer:
                    consumers.add((queue, consumer))
        self._register(queues.difference(self._queues.names))
        self._end_unknown(sorted(consumers))
        self._cursor = None if int(reply[0]) == 0 else reply[0]

    def _register(self, queues: Iterable[str]) -> None:
        for queue in sorted(queues):
            try:
                added = self._queues.register(self._client, queue)
            except ResponseError as error:
                self._error_log.report_queue(queue, "register it", error)
                continue
            if added:
                get_logger().warning("queue.found", queue=queue)

    def _end_unknown(self, consumers: list[tuple[str, str]]) -> None:
        """Makes tombstones of consumers that Redis does not know. The next sweep finds
        the tasks that they still have."""
        scores = self._client.commands([("ZSCORE", key("consumers", q), c) for q, c in consumers])
        for (queue, consumer), score in zip(consumers, scores, strict=True):
            if isinstance(score, ResponseError):
                self._error_log.report_queue(queue, "search", score)
            elif score is None:
                try:
                    self._client.call(
                        ScriptCall("open", queue, ("", 0, 1, consumer), ended=consumer)
                    )
                except ResponseError as error:
                    self._error_log.report_queue(queue, "search", error)
                    continue
                get_logger().warning("consumer.found", queue=queue, consumer=consumer)


def _pattern() -> str:
    return key("pending", "x").partition("{")[0] + "{*"


def parse_key(name: bytes) -> tuple[str, str] | None:
    """Returns (queue, consumer) of a key of ours, with '' for no consumer; None for any
    other key."""
    try:
        text = name.decode()
        queue = text.partition("{")[2].partition("}")[0]
        check_queue_name(queue)
    except (UnicodeDecodeError, ConfigurationError):
        return None
    for kind in key_kinds():
        if kind in ("claimed", "inbox"):
            prefix = key(kind, queue, "")
            if text.startswith(prefix) and len(text) > len(prefix):
                return queue, text[len(prefix) :]
        elif text == key(kind, queue):
            return queue, ""
    return None
