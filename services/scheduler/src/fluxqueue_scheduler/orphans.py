"""The search for orphans: queues and consumers that no index mentions.

It passes all keys of the database and finds queues that are not registered, and inboxes
or claimed hashes of consumers that are missing from the set of consumers. A queue to which
a client sends tasks is not registered before a worker has served it.

Why it is repeated so often: docs/decisions/0060-a-queue-that-no-worker-serves.md
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

# Keys that one step of the search passes, and the pause after it (seconds): a search of
# many millions of keys must not keep Redis busy.
PAGE = 1_000
PAGE_PAUSE = 0.005
# Seconds from the start of a search to the start of the next one: at least the first
# number, and the second one for each page. A page takes Redis less than a millisecond.
SHORTEST_INTERVAL = 30.0
INTERVAL_PER_PAGE = 10.0


class OrphanSearch:
    """Searches the database, one page of keys at a time."""

    def __init__(
        self, client: RedisClient, queues: Queues, options: Options, error_log: ErrorLog
    ) -> None:
        self._client = client
        self._queues = queues
        self._interval = options.search_interval
        self._error_log = error_log
        self._next = time.monotonic() + options.search_delay
        self._cursor: bytes | None = None
        # No namespace has a character that means more than itself in a pattern.
        self._pattern = client.key("pending", "x").partition("{")[0] + "{*"
        self._started = 0.0
        self._pages = 0

    def step(self) -> float:
        """Searches one page if a search is due; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        now = time.monotonic()
        if now >= self._next and self._cursor is None:
            self._cursor = b"0"
            self._started, self._pages = now, 0
        if self._cursor is not None:
            self._search(self._cursor)
            self._pages += 1
            pace = max(SHORTEST_INTERVAL, INTERVAL_PER_PAGE * self._pages)
            self._next = self._started + min(pace, self._interval)
        return max(self._next - now, 0.0) if self._cursor is None else PAGE_PAUSE

    def _search(self, cursor: bytes) -> None:
        try:
            reply = self._client.command("SCAN", cursor, "MATCH", self._pattern, "COUNT", PAGE)
        except ResponseError as error:
            self._error_log.report(
                "search.failed", "", doing="SCAN", error=str(error), **remedy(error)
            )
            self._cursor = None
            return
        queues: set[str] = set()
        consumers: set[tuple[str, str]] = set()
        for name in reply[1]:
            found = parse_key(name, self._client.namespace)
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
        scores = self._client.commands(
            [("ZSCORE", self._client.key("consumers", q), c) for q, c in consumers]
        )
        for (queue, consumer), score in zip(consumers, scores, strict=True):
            if isinstance(score, ResponseError):
                self._error_log.report_queue(queue, "search", score)
            elif score is None:
                try:
                    self._client.call(
                        ScriptCall("open", queue, ("", 0, "", 1, consumer), ended=consumer)
                    )
                except ResponseError as error:
                    self._error_log.report_queue(queue, "search", error)
                    continue
                get_logger().warning("consumer.found", queue=queue, consumer=consumer)


def parse_key(name: bytes, namespace: str) -> tuple[str, str] | None:
    """Returns (queue, consumer) of a key of the namespace, with '' for no consumer; None for
    any other key."""
    try:
        text = name.decode()
        queue = text.partition("{")[2].partition("}")[0]
        check_queue_name(queue)
    except (UnicodeDecodeError, ConfigurationError):
        return None
    for kind in key_kinds():
        if kind in ("claimed", "inbox"):
            prefix = key(kind, queue, "", namespace)
            if text.startswith(prefix) and len(text) > len(prefix):
                return queue, text[len(prefix) :]
        elif text == key(kind, queue, "", namespace):
            return queue, ""
    return None
