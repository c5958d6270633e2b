"""Follows tasks through Redis by repeated snapshots of where each message is.

You don't need this to use FluxQueue: it makes the demo visible.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fluxqueue_core import key, parse_message
from redis import Redis

# Every message of a queue and its place, at one moment: a script is atomic.
# KEYS: pending, suspects, delayed, dead:messages, consumers. ARGV: the prefixes of
# a consumer's keys.
SNAPSHOT = """
local found = {}
local function add(place, messages)
  for _, message in ipairs(messages) do
    found[#found + 1] = place
    found[#found + 1] = message
  end
end
add('pending', redis.call('LRANGE', KEYS[1], 0, -1))
add('suspect', redis.call('LRANGE', KEYS[2], 0, -1))
add('delayed', redis.call('ZRANGE', KEYS[3], 0, -1))
add('dead', redis.call('HVALS', KEYS[4]))
for _, consumer in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  add('claimed', redis.call('LRANGE', ARGV[1] .. consumer, 0, -1))
  add('claimed', redis.call('HVALS', ARGV[2] .. consumer))
end
return found
"""
PLACES = ("pending", "suspects", "delayed", "dead:messages", "consumers")


@dataclass
class Followed:
    """A task and its observed history.

    Attributes:
        way: its states, oldest first.
        end: "done" or "dead"; empty while it is under way.
        seconds: from enqueueing to the end.
    """

    task_id: str
    name: str
    enqueued_at: float
    place: str = ""
    retries: int = 0
    deliveries: int = 0
    way: list[str] = field(default_factory=list)
    end: str = ""
    seconds: float = 0.0

    @property
    def attempts(self) -> int:
        """Attempts with an outcome: the failed ones and the last one."""
        return self.retries + 1

    def seen(self, place: str, retries: int, deliveries: int) -> None:
        if retries > self.retries:
            self.way.append("failed")
        if deliveries > self.deliveries:
            self.way.append("worker lost")
        changed = place != self.place or (retries, deliveries) != (self.retries, self.deliveries)
        if changed:
            self.way.append(place if self.way else "enqueued")
        self.place, self.retries, self.deliveries = place, retries, deliveries
        if place == "dead":
            self._ended("dead")

    def gone(self) -> None:
        """No key has the message any longer: a worker has settled it."""
        self.way.append("done")
        self._ended("done")

    def _ended(self, end: str) -> None:
        self.end = end
        self.seconds = time.time() - self.enqueued_at


class Follower:
    """Records the history of every task of one queue."""

    def __init__(self, redis: Redis, queue: str) -> None:
        self.tasks: dict[str, Followed] = {}
        self._snapshot = redis.register_script(SNAPSHOT)
        self._keys = [key(kind, queue) for kind in PLACES]
        # The name of a consumer's key is its prefix and the consumer's id.
        self._prefixes = [key(kind, queue, "-").removesuffix("-") for kind in ("inbox", "claimed")]

    def look(self) -> None:
        """Takes a snapshot and records the changes."""
        found = self._snapshot(keys=self._keys, args=self._prefixes)
        present = set()
        for place, raw in zip(found[::2], found[1::2], strict=True):
            message = parse_message(raw)
            task_id = message["task_id"]
            present.add(task_id)
            task = self.tasks.get(task_id)
            if task is None:
                task = Followed(task_id, message["name"], message["enqueued_at"] / 1000)
                self.tasks[task_id] = task
            if not task.end:
                task.seen(place.decode(), message["retries"], message["deliveries"])
        for task_id, task in self.tasks.items():
            if task_id not in present and not task.end:
                task.gone()

    def under_way(self) -> list[Followed]:
        return [task for task in self.tasks.values() if not task.end]
