"""Enqueues the runs of periodic tasks: one loop for all queues of a server.

Any number of schedulers do this at once. Each computes the moments; the script `tick` lets
each moment come once, by the clock of Redis. The loop knows when the next moment is and
sleeps until then. Ten times a second it asks what has changed.

Why: docs/decisions/0141-each-moment-once-without-a-leader.md
"""

from __future__ import annotations

from time import monotonic

from fluxqueue_control.errors import hash_slot_is_moving
from fluxqueue_control.redis_client import Packed, RedisClient, Reply, ScriptCall
from fluxqueue_core.service.log import get_logger
from redis.exceptions import NoScriptError, ResponseError

from .error_log import ErrorLog
from .options import Options
from .periodic_entries import Entries, Entry, as_sent
from .periodic_stops import Stops
from .queues import Queues

# Seconds between two questions about changes, and for each queue that is asked.
ASK_INTERVAL = 0.1
ASK_PER_QUEUE = 0.002
# Seconds. Moments that come shortly after each other are one call.
SHORTEST_PAUSE = 0.005
# Entries of one call, and calls of one round trip. A call keeps Redis busy for a millisecond.
AT_ONCE = 100
CALLS_AT_ONCE = 10
# Seconds for which a step makes arguments ready before it looks at the clock.
PREPARING = 0.005
# Seconds to leave a queue alone whose keys Redis refuses.
REFUSED_PAUSE = 1.0
# Entries that one HSCAN or ZRANGE reads.
PAGE = 1_000


class _Queue:
    """A queue with periodic tasks.

    Attributes:
        asked: when it was last asked for changes, by the clock of this process.
        now: the time of Redis in the last reply, in ms; 0 before the entries are loaded.
        offset: the time of Redis minus the clock of this process, in ms.
        planned_at: the time of Redis for which the present calls are made, in ms.
    """

    def __init__(self, name: str, error_log: ErrorLog) -> None:
        self.name = name
        self.entries = Entries(name, error_log)
        self.stops = Stops(name, self.entries)
        self.asked = float("-inf")
        self.now = 0
        self.offset = 0.0
        self.planned_at = 0
        self.refused_until = 0.0

    def redis_time(self) -> int:
        """The time of Redis by now, in ms since 1970; not ahead of it."""
        return int(monotonic() * 1_000 + self.offset)


class PeriodicTasks:
    """The periodic tasks of all queues of a server."""

    def __init__(
        self, client: RedisClient, queues: Queues, options: Options, error_log: ErrorLog
    ) -> None:
        self._client = client
        self._served = queues
        self._options = options
        self._error_log = error_log
        self._queues: dict[str, _Queue] = {}
        self._names: tuple[str, ...] = ()

    def found(self, queue: str) -> None:
        """Notes that a queue has periodic tasks. Any thread may call it."""
        if queue not in self._queues:
            self._queues[queue] = _Queue(queue, self._error_log)

    def step(self) -> float:
        """Enqueues what is due; returns the seconds until the next moment.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        if self._served.names is not self._names:
            self._names = self._served.names
            for name in set(self._queues).difference(self._names):
                del self._queues[name]  # another master has it now
        interval = max(ASK_INTERVAL, ASK_PER_QUEUE * len(self._queues))
        calls: list[tuple[_Queue, list[Entry], Packed]] = []
        for queue in list(self._queues.values()):
            if queue.refused_until > monotonic():
                continue
            if not queue.now and not self._load(queue):
                continue
            calls += self._calls(queue, CALLS_AT_ONCE - len(calls), interval)
            if len(calls) >= CALLS_AT_ONCE:
                break
        if calls:
            self._send(calls)
        if len(calls) >= CALLS_AT_ONCE:
            return 0.0  # more is due
        for queue in list(self._queues.values()):
            if queue.now and queue.refused_until <= monotonic():
                try:
                    queue.stops.step(self._client, self._options)
                except ResponseError as error:
                    self._error_log.report_queue(queue.name, "stop periodic tasks", error)
        return self._pause(interval)

    def _calls(
        self, queue: _Queue, most: int, interval: float
    ) -> list[tuple[_Queue, list[Entry], Packed]]:
        now = queue.planned_at = queue.redis_time()
        calls: list[tuple[_Queue, list[Entry], Packed]] = []
        while len(calls) < most and (entries := queue.entries.take(now, AT_ONCE)):
            parts, sent = [], []
            for entry in entries:
                arguments = queue.entries.arguments(entry, now)
                if arguments is not None:
                    parts.append(arguments)
                    sent.append(entry)
            calls.append((queue, sent, Packed(b"".join(parts), 6 * len(sent))))
        if not calls and monotonic() - queue.asked >= interval:
            calls.append((queue, [], Packed(b"", 0)))
        return calls

    def _send(self, calls: list[tuple[_Queue, list[Entry], Packed]]) -> None:
        sent = monotonic()
        heads = [
            (ScriptCall("tick", q.name, (q.now, q.planned_at)), packed) for q, _, packed in calls
        ]
        try:
            replies = self._client.packed_calls(heads)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                # The replies of the others are read again, from Redis.
                self._client.call(ScriptCall("tick", calls[0][0].name, (0,)))
                replies = [None] * len(calls)
        except BaseException:
            for queue, _, _ in calls:
                queue.now = 0  # what was executed is read from Redis
            raise
        again: dict[str, tuple[_Queue, set[bytes]]] = {}
        for (queue, entries, _), reply in zip(calls, replies, strict=True):
            if reply is None:
                queue.now = 0
            elif isinstance(reply, ResponseError):
                self._refused(queue, reply)
            else:
                changed = self._read(queue, entries, reply, sent)
                again.setdefault(queue.name, (queue, set()))[1].update(changed)
        for queue, names in again.values():
            if names and queue.now:
                self._read_again(queue, sorted(names))

    def _refused(self, queue: _Queue, error: ResponseError) -> None:
        self._error_log.report_queue(queue.name, "tick", error)
        queue.now = 0
        pause = ASK_INTERVAL if hash_slot_is_moving(error) else REFUSED_PAUSE
        queue.refused_until = monotonic() + pause

    def _read(self, queue: _Queue, entries: list[Entry], reply: Reply, sent: float) -> set[bytes]:
        """Notes the reply; returns the entries to read again."""
        now, changed, differing = reply
        if now < queue.now:
            queue.now = 0  # its clock ran backwards: the list of changes can't be trusted
            return set()
        queue.asked = monotonic()
        queue.offset = now - queue.asked * 1_000
        queue.now = now
        others = set(differing[::2])
        fired = 0
        for entry in entries:
            name = entry.id.encode()
            if name not in others:
                fired += 1
                queue.entries.fired(entry)
        if fired:
            get_logger().debug("periodic.due", queue=queue.name, count=fired)
        return others | set(changed)

    def _load(self, queue: _Queue) -> bool:
        """Reads all entries of a queue; returns whether it has some."""
        key = self._client.key
        try:
            now, _, _ = self._client.call(ScriptCall("tick", queue.name, (0,)))
            asked = monotonic()
            records: dict[bytes, bytes] = {}
            cursor: bytes | int = 0
            while True:
                cursor, found = self._client.command(
                    "HSCAN", key("periodic", queue.name), cursor, "COUNT", PAGE
                )
                records |= found if isinstance(found, dict) else _pairs(found)
                if int(cursor) == 0:
                    break
            moments: dict[bytes, bytes] = {}
            for start in range(0, len(records) + PAGE, PAGE):
                words = ("ZRANGE", key("periodic:due", queue.name), start, start + PAGE - 1)
                moments |= _pairs(self._client.command(*words, "WITHSCORES"))
        except ResponseError as error:
            self._refused(queue, error)
            return False
        if not records:
            self._queues.pop(queue.name, None)
            return False
        queue.entries.forget_all()
        for name, raw in records.items():
            queue.entries.put(name, raw, moments.get(name))
        queue.now, queue.asked, queue.offset = now, asked, now - asked * 1_000
        return True

    def _read_again(self, queue: _Queue, names: list[bytes]) -> None:
        key = self._client.key
        for start in range(0, len(names), PAGE):
            some = names[start : start + PAGE]
            replies = self._client.commands(
                command
                for name in some
                for command in (
                    ("HGET", key("periodic", queue.name), name),
                    ("ZSCORE", key("periodic:due", queue.name), name),
                )
            )
            refused = next((r for r in replies if isinstance(r, ResponseError)), None)
            if refused is not None:
                self._refused(queue, refused)
                return
            for name, raw, due in zip(some, replies[::2], replies[1::2], strict=True):
                queue.entries.put(name, raw, as_sent(due))
        if not len(queue.entries):
            self._queues.pop(queue.name, None)

    def _pause(self, interval: float) -> float:
        until = monotonic() + PREPARING
        more = True
        while more and monotonic() < until:
            more = sum(queue.entries.prepare() for queue in list(self._queues.values())) > 0
        pause = interval
        for queue in list(self._queues.values()):
            moment = queue.entries.next_moment() if queue.now else None
            if moment is not None:
                pause = min(pause, (moment + 1 - queue.redis_time()) / 1_000)
        return 0.0 if more and pause > 0 else max(pause, SHORTEST_PAUSE)


def _pairs(found: list[bytes]) -> dict[bytes, bytes]:
    return {
        name: as_sent(value) or b"" for name, value in zip(found[::2], found[1::2], strict=True)
    }
