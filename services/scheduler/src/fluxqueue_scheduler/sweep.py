"""Finds the consumers whose lease has ended, and rescues their tasks.

One thread sweeps and rescues, in small steps, and looks at the clock after each step:
the sweep must be on time. Rule 8: a sweep that is later than its gap gives every
consumer another lease.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fluxqueue_control.errors import UNAVAILABLE
from fluxqueue_control.redis_client import RedisClient, ScriptCall
from redis.exceptions import ResponseError

from .error_log import ErrorLog
from .options import Options
from .queues import Queues
from .rescue import Rescue

if TYPE_CHECKING:
    from .tracing import Tracing

# Late consumers that one sweep of a queue returns, and queues that one round trip sweeps.
LATE_LIMIT = 1_000
QUEUES_AT_ONCE = 100
# Queues that one call sweeps. It keeps Redis busy for a quarter of a millisecond, 5 µs each.
QUEUES_IN_CALL = 50
# The keys of each that such a call takes.
KEYS = ("consumers", "sweep")
# Tombstones that one EXISTS checks.
TOMBSTONES_AT_ONCE = 250
# Tombstones of a queue that are removed together, and how often (seconds).
FORGET_LIMIT = 100
FORGET_INTERVAL = 60.0


class Sweeper:
    """Sweeps every queue on time, and rescues between two sweeps."""

    def __init__(
        self,
        client: RedisClient,
        queues: Queues,
        options: Options,
        error_log: ErrorLog,
        tracing: Tracing | None = None,
        *,
        is_cluster: bool = False,
    ) -> None:
        self._client = client
        self._keys = lru_cache(10_000)(lambda queue: [client.key(kind, queue) for kind in KEYS])
        # In a cluster a call has the keys of one queue.
        self._in_call = 1 if is_cluster else QUEUES_IN_CALL
        self._queues = queues
        self._options = options
        self._error_log = error_log
        self._tracing = tracing
        self._next_sweep = 0.0
        self._swept: dict[str, float] = {}
        # The queues that the present sweep has reached too late, with the seconds since the last.
        self._late: dict[str, float] = {}
        self._rescues: deque[Rescue] = deque()
        self._under_rescue: set[tuple[str, str]] = set()
        # By queue: tombstones not yet checked since the last sweep, and tombstones that
        # may be old enough to be removed.
        self._unseen: dict[str, list[str]] = {}
        self._forgettable: dict[str, list[str]] = {}
        self._next_forgetting = time.monotonic() + FORGET_INTERVAL

    def step(self) -> float:
        """Sweeps if a sweep is due, else does a small part of the other work; returns the
        seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        try:
            if time.monotonic() >= self._next_sweep:
                self._sweep()
                # Counted from its end: however long a sweep takes, the other work gets time.
                self._next_sweep = time.monotonic() + self._options.sweep_interval
            else:
                self._look()
                self._forget()
                self._move()
        except UNAVAILABLE:
            # The outage makes the next sweep late, and has its own log line.
            self._swept.clear()
            self._late.clear()
            raise
        if self._unseen or self._forgettable or self._rescues:
            return 0.0
        return max(self._next_sweep - time.monotonic(), 0.0)

    def _sweep(self) -> None:
        names = self._queues.names
        forgetting = time.monotonic() >= self._next_forgetting
        gap, lease = round(self._options.gap * 1_000), round(self._options.lease * 1_000)
        for start in range(0, len(names), QUEUES_AT_ONCE):
            some = names[start : start + QUEUES_AT_ONCE]
            groups = [some[at : at + self._in_call] for at in range(0, len(some), self._in_call)]
            for queue, reply in self._swept_queues(groups, (gap, lease, LATE_LIMIT)):
                if isinstance(reply, ResponseError):
                    self._error_log.report_queue(queue, "sweep", reply)
                    continue
                late, tombstones = (self._ids(queue, members) for members in reply)
                for consumer in late:
                    self._add(queue, consumer)
                if tombstones:
                    self._unseen.setdefault(queue, tombstones)
                    if forgetting:
                        # Their scores are negative: the oldest are last.
                        self._forgettable[queue] = tombstones[-FORGET_LIMIT:]
        if forgetting:
            self._next_forgetting = time.monotonic() + FORGET_INTERVAL
        self._report_late()

    def _swept_queues(
        self, groups: Sequence[Sequence[str]], arguments: tuple[int, ...]
    ) -> Iterator[tuple[str, Any]]:
        """Sweeps groups of queues in one round trip, or in two if a queue can't be swept. Yields
        each queue with an error, and each with late consumers or tombstones, with both lists."""
        replies = self._client.calls([self._call(group, arguments) for group in groups])
        now = time.monotonic()
        alone: list[Sequence[str]] = []
        for group, reply in zip(groups, replies, strict=True):
            if not isinstance(reply, ResponseError):
                for queue in group:
                    self._check_punctuality(queue, now)
                yield from ((group[n - 1], (late, dead)) for n, late, dead in reply[1:])
            elif len(group) == 1:
                yield group[0], reply
            else:
                # One queue has ended the call. Alone, the others are swept.
                alone += [[queue] for queue in group]
        if alone:
            yield from self._swept_queues(alone, arguments)

    def _call(self, group: Sequence[str], arguments: tuple[int, ...]) -> ScriptCall:
        keys = [name for queue in group for name in self._keys(queue)]
        return ScriptCall("sweep", group[0], (*arguments, len(KEYS)), only_keys=keys)

    def _check_punctuality(self, queue: str, now: float) -> None:
        last = self._swept.get(queue)
        self._swept[queue] = now
        if last is not None and now - last > self._options.gap:
            self._late[queue] = now - last

    def _report_late(self) -> None:
        """Logs one line for all queues that this sweep reached too late."""
        if not self._late:
            return
        queue, seconds = max(self._late.items(), key=lambda late: late[1])
        self._error_log.report(
            "sweep.late",
            next(iter(self._late)),
            queue=queue,
            queues=len(self._late),
            seconds=round(seconds, 3),
            gap=self._options.gap,
            error="a sweep slower than its gap rescues no tasks: give the scheduler more CPU, "
            "or look for slow commands in Redis",
        )
        self._late.clear()

    def _ids(self, queue: str, members: list[bytes]) -> list[str]:
        ids = []
        for member in members:
            try:
                ids.append(member.decode())
            except UnicodeDecodeError as error:
                self._error_log.report_queue(queue, "read the consumers", error)
        return ids

    def _add(self, queue: str, consumer: str) -> None:
        if (queue, consumer) not in self._under_rescue:
            self._under_rescue.add((queue, consumer))
            trace = None if self._tracing is None else self._tracing.rescue(queue, consumer)
            self._rescues.append(Rescue(queue, consumer, self._options, trace))

    def _look(self) -> None:
        """Checks some tombstones for tasks that they still have."""
        if not self._unseen:
            return
        queue, unseen = next(iter(self._unseen.items()))
        some, rest = unseen[:TOMBSTONES_AT_ONCE], unseen[TOMBSTONES_AT_ONCE:]
        key = self._client.key
        keys = [(key("claimed", queue, c), key("inbox", queue, c)) for c in some]
        [exist] = found = self._client.commands([("EXISTS", *(k for pair in keys for k in pair))])
        if not isinstance(exist, ResponseError) and exist:
            found = self._client.commands([("EXISTS", *pair) for pair in keys])
            for consumer, number in zip(some, found, strict=True):
                if not isinstance(number, ResponseError) and number:
                    self._add(queue, consumer)
        refused = next((r for r in found if isinstance(r, ResponseError)), None)
        if refused is not None:
            # The next sweep returns them again, from this server or the queue's new one.
            self._error_log.report_queue(queue, "look for what is left", refused)
            rest = []
        if rest:
            self._unseen[queue] = rest
        else:
            del self._unseen[queue]

    def _forget(self) -> None:
        """Removes the old and empty tombstones of one queue."""
        if not self._forgettable:
            return
        queue, consumers = next(iter(self._forgettable.items()))
        age = round(self._options.tombstone_age * 1_000)
        replies = self._client.calls(
            [ScriptCall("reclaim", queue, (c, age), consumer=c) for c in consumers]
        )
        for reply in replies:
            if isinstance(reply, ResponseError):
                self._error_log.report_queue(queue, "forget consumers", reply)
        del self._forgettable[queue]

    def _move(self) -> None:
        """Moves one batch of one rescue."""
        if not self._rescues:
            return
        rescue = self._rescues[0]
        try:
            if rescue.step(self._client):
                return
        except ResponseError as error:
            self._error_log.report_queue(rescue.queue, "rescue", error)
        self._rescues.popleft()
        self._under_rescue.discard((rescue.queue, rescue.consumer))
        rescue.report()
