"""Enqueues the runs of periodic tasks: one loop for all queues of a server.

Any number of schedulers do this at once. Each computes the moments; the script `tick` lets
each moment come once, by the clock of Redis. The loop knows when the next moment is and
sleeps until then, and computes ahead. Ten times a second it asks what has changed. When the runs of
a moment are in the queue, it lets Redis write their histories.

Why: docs/decisions/0141-each-moment-once-without-a-leader.md
Why: docs/decisions/0160-many-entries-of-one-moment-in-one-call.md
Why: docs/decisions/0164-histories-are-written-after-the-burst.md
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from time import monotonic
from typing import NamedTuple

from fluxqueue_control.errors import hash_slot_is_moving
from fluxqueue_control.redis_client import Packed, RedisClient, Reply, ScriptCall
from fluxqueue_core.service.log import get_logger
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from .error_log import ErrorLog
from .options import Options
from .periodic_mending import Mending
from .periodic_stops import Stops
from .periodic_tasks import PeriodicTask, TasksByMoment, as_sent, packed
from .queues import Queues

# Seconds between two questions about changes, and for each queue that is asked.
ASK_INTERVAL = 0.1
ASK_PER_QUEUE = 0.002
# Seconds. Moments that come shortly after each other are one call.
SHORTEST_PAUSE = 0.005
# Tasks of one call, and calls that are under way at once. A call keeps Redis busy for a
# millisecond, and Redis reads from other connections after each.
AT_ONCE = 100
CALLS_AT_ONCE = 100
# Seconds for which a step makes arguments ready before it looks at the clock.
PREPARING = 0.005
# Seconds between calls that file notes into histories, and how many of them are sent at once. Each
# files a hundred, which keeps Redis busy for half a millisecond.
FILE_INTERVAL = 0.02
FILE_CALLS = 3
# Seconds to leave a queue alone whose keys Redis refuses.
REFUSED_PAUSE = 1.0
# Tasks that one HSCAN or ZRANGE reads.
PAGE = 1_000


class _Queue:
    """A queue with periodic tasks.

    Attributes:
        asked: when it was last asked for changes, by the clock of this process.
        now: the time of Redis in the reply to that, in ms; 0 before the tasks are loaded.
        notes: how many notes wait in Redis to be filed into histories, by the last reply.
        filed: when notes were last filed, by the clock of this process.
        at_once: tasks of its next calls: one, after Redis has refused a call for several. So
            the one because of which it did is found.
    """

    def __init__(self, name: str, error_log: ErrorLog) -> None:
        self.name = name
        self.tasks = TasksByMoment(name, error_log)
        self.stops = Stops(name, self.tasks)
        self.mending = Mending(name, self.tasks)
        self.at_once = AT_ONCE
        self.asked = self.filed = float("-inf")
        self.now = self.notes = 0
        self.refused_until = 0.0

    def is_ready(self) -> bool:
        """Whether its tasks are loaded, and Redis takes calls for it."""
        return self.now > 0 and self.refused_until <= monotonic()


class _Sent(NamedTuple):
    """A call that is under way, planned by the time `now`. `asks`: it asks for changes too. One
    without tasks files notes."""

    queue: _Queue
    tasks: list[PeriodicTask]
    now: int
    asks: bool


class _Again(NamedTuple):
    """Tasks of a queue to read again. `refused`: those that did not run, and not because others
    have changed them."""

    queue: _Queue
    names: set[bytes]
    refused: set[bytes]


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
        # The time of Redis minus the clock of this process, in ms.
        self._offset = 0.0

    def found(self, queue: str) -> None:
        """Notes that a queue has periodic tasks. Any thread may call it."""
        if queue not in self._queues:
            self._queues[queue] = _Queue(queue, self._error_log)

    def _redis_time(self) -> int:
        """The time of Redis by now, in ms since 1970; not ahead of it."""
        return int(monotonic() * 1_000 + self._offset)

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
        for queue in list(self._queues.values()):
            if not queue.now and queue.refused_until <= monotonic():
                self._load(queue)
        if self._send(interval) >= CALLS_AT_ONCE:
            return 0.0  # more is due
        for queue in list(self._queues.values()):
            if queue.is_ready():
                try:
                    queue.stops.step(self._client, self._options)
                    queue.mending.step(self._client, self._redis_time(), self._options)
                except ResponseError as error:
                    self._error_log.report_queue(queue.name, "stop periodic tasks", error)
        return self._pause(interval)

    def _calls(self, interval: float, sent: list[_Sent]) -> Iterator[tuple[ScriptCall, Packed]]:
        """Makes the calls for all that is due, one after the other, and notes them in `sent`."""
        for queue in list(self._queues.values()):
            if not queue.is_ready():
                continue
            now = self._redis_time()
            asks = True
            while len(sent) < CALLS_AT_ONCE and (tasks := queue.tasks.take(now, queue.at_once)):
                found = [(task, queue.tasks.ready(task, now)) for task in tasks]
                due = [(task, ready) for task, ready in found if ready is not None]
                sent.append(_Sent(queue, [task for task, _ in due], now, asks))
                yield self._call(queue, now, asks), packed(ready for _, ready in due)
                asks = False
            if asks and monotonic() - queue.asked >= interval and len(sent) < CALLS_AT_ONCE:
                sent.append(_Sent(queue, [], now, asks))
                yield self._call(queue, now, asks), Packed(b"", 0)
            if queue.notes and monotonic() - queue.filed >= FILE_INTERVAL:
                for _ in range(min(queue.notes, FILE_CALLS)):
                    sent.append(_Sent(queue, [], now, False))
                    yield self._call(queue, now, False), Packed(b"", 0)
                queue.filed = monotonic()

    def _call(self, queue: _Queue, now: int, asks: bool) -> ScriptCall:
        return ScriptCall("tick", queue.name, (queue.now if asks else 0, now))

    def _send(self, interval: float) -> int:
        """Sends what is due, and reads the replies when all is sent: Redis works while the next
        calls are made. Returns the number of calls."""
        sent: list[_Sent] = []
        calls = self._calls(interval, sent)
        first = next(calls, None)
        if first is None:
            return 0
        try:
            replies = self._client.packed_calls(chain((first,), calls))
            received = monotonic()
            if any(isinstance(reply, NoScriptError) for reply in replies):
                # The replies of the others are read again, from Redis.
                self._client.call(ScriptCall("tick", sent[0].queue.name, (0,)))
                replies = [None] * len(sent)
        except BaseException:
            for call in sent:
                call.queue.now = 0  # what was executed is read from Redis
            raise
        again = {call.queue.name: _Again(call.queue, set(), set()) for call in sent}
        refusals: list[tuple[_Sent, ResponseError]] = []
        for call, reply in zip(sent, replies, strict=True):
            if reply is None:
                call.queue.now = 0
            elif isinstance(reply, ResponseError):
                refusals.append((call, reply))
            elif call.queue.now:
                self._offset = reply[0] - received * 1_000  # that of the last reply remains
                self._read(call, reply, received, again[call.queue.name])
        for queue, names, refused in again.values():
            of_queue = [(call, error) for call, error in refusals if call.queue is queue]
            queue.at_once = AT_ONCE
            if of_queue:
                names.update(self._find_fault(queue, of_queue, sent))
            if names and queue.now:
                self._read_again(queue, sorted(names), refused)
            if queue.now and not len(queue.tasks) and not queue.notes:
                self._queues.pop(queue.name, None)
        return len(sent)

    def _find_fault(
        self, queue: _Queue, refusals: list[tuple[_Sent, ResponseError]], sent: list[_Sent]
    ) -> list[bytes]:
        """Redis has refused calls for a queue. If that is because of some tasks, these are left
        alone, and the others go on. Returns the tasks to send again, one in each call."""
        calls = [call for call, _ in refusals]
        error = refusals[0][1]
        if any(len(call.tasks) > 1 for call in calls) and not _concerns_all(error):
            queue.at_once = 1
            return [task.id.encode() for call in calls for task in call.tasks]
        others = any(call.queue is queue and call.tasks and call not in calls for call in sent)
        is_general = len(calls) > 1 and not others
        if is_general or _concerns_all(error) or not all(call.tasks for call in calls):
            self._refused(queue, error)
            return []
        self._error_log.report_queue(queue.name, "tick", error)
        for call, error in refusals:
            queue.tasks.failed(call.tasks[0].id, str(error))
        return []

    def _refused(self, queue: _Queue, error: ResponseError) -> None:
        self._error_log.report_queue(queue.name, "tick", error)
        queue.now = 0
        pause = ASK_INTERVAL if hash_slot_is_moving(error) else REFUSED_PAUSE
        queue.refused_until = monotonic() + pause

    def _read(self, call: _Sent, reply: Reply, received: float, again: _Again) -> None:
        """Notes the reply, and in `again` the tasks to read again."""
        queue = call.queue
        now, changed, differing, _, notes = reply
        if now < queue.now:
            queue.now = 0  # its clock ran backwards: the list of changes can't be trusted
            return
        queue.notes = notes if notes or not call.tasks else queue.notes
        if call.asks:
            queue.now, queue.asked = now, received
        others = set(differing[::2])
        fired = 0
        for task in call.tasks:
            if not others or task.id.encode() not in others:
                fired += 1
                queue.tasks.fired(task)
        if fired:
            get_logger().debug("periodic.due", queue=queue.name, count=fired)
        again.names.update(others, changed)
        if now >= call.now:  # else Redis refused all, because its clock is behind
            again.refused.update(others.difference(changed))

    def _load(self, queue: _Queue) -> None:
        """Reads all tasks of a queue."""
        key = self._client.key
        try:
            now = self._client.call(ScriptCall("tick", queue.name, (0,)))[0]
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
            return
        if not records:
            self._queues.pop(queue.name, None)
            return
        queue.tasks.forget_all()
        # Sorted, so that tasks of one call are neighbours in the sorted set of their moments:
        # to move them costs Redis less then.
        for name, raw in sorted(records.items()):
            queue.tasks.put(name, raw, moments.get(name))
        queue.now, queue.asked, self._offset = now, asked, now - asked * 1_000

    def _read_again(self, queue: _Queue, names: list[bytes], refused: set[bytes]) -> None:
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
            error = next((r for r in replies if isinstance(r, ResponseError)), None)
            if error is not None:
                self._refused(queue, error)
                return
            for name, raw, due in zip(some, replies[::2], replies[1::2], strict=True):
                queue.tasks.put(name, raw, as_sent(due), is_refused=name in refused)

    def _pause(self, interval: float) -> float:
        until = monotonic() + PREPARING
        more = True
        while more and monotonic() < until:
            more = sum(queue.tasks.prepare() for queue in list(self._queues.values())) > 0
        pause = interval
        for queue in list(self._queues.values()):
            if queue.notes:
                pause = min(pause, FILE_INTERVAL)
            moment = queue.tasks.next_moment() if queue.now else None
            if moment is not None:
                pause = min(pause, (moment + 1 - self._redis_time()) / 1_000)
        return 0.0 if more and pause > 0 else max(pause, SHORTEST_PAUSE)


def _concerns_all(error: ResponseError) -> bool:
    """Whether an error is about the queue as a whole, and not about what one call says."""
    return hash_slot_is_moving(error) or isinstance(error, NoPermissionError)


def _pairs(found: list[bytes]) -> dict[bytes, bytes]:
    return {
        name: as_sent(value) or b"" for name, value in zip(found[::2], found[1::2], strict=True)
    }
