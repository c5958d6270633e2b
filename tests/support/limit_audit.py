"""The properties of limits that hold after each step of `limit_world`, and at its end."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from fluxqueue_core import message_field

if TYPE_CHECKING:
    from .limit_world import World

# Everything about where messages are, in one round trip.
AUDIT = """
local before, found = ARGV[1], {}
local function add(kind, messages)
  for _, m in ipairs(messages) do found[#found + 1] = kind found[#found + 1] = m end
end
for _, k in ipairs({'pending', 'suspects'}) do add(k, redis.call('LRANGE', before .. k, 0, -1)) end
for _, k in ipairs({'delayed', 'prioritized'}) do
  add(k, redis.call('ZRANGE', before .. k, 0, -1))
end
local places = {}
for _, name in ipairs(redis.call('KEYS', '*')) do
  if string.sub(name, 1, #before) == before then
    local kind = string.sub(name, #before + 1)
    if string.find(kind, '^claimed:') then
      add(kind, redis.call('HVALS', name))
    elseif string.find(kind, '^inbox:') or string.find(kind, '^limit:line:') then
      add(kind, redis.call('LRANGE', name, 0, -1))
    elseif string.find(kind, '^limit:places:') then
      places[#places + 1] = {kind, redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')}
    end
  end
end
local in_line = tonumber(redis.call('HGET', before .. 'stats', 'in_line') or '0')
return {found, places, redis.call('ZRANGE', before .. 'limits', 0, -1), in_line}
"""
_LIMIT = re.compile(rb'"l":"([0-9a-f]+):')
_LINE, _PLACES = "limit:line:", "limit:places:"


class Violation(Exception):
    """A property does not hold."""


def id_of(raw: bytes) -> bytes:
    return raw[13:49]


def limit_of(raw: bytes) -> str | None:
    """The digest of a message's limit. A condemned message has none."""
    found = _LIMIT.search(raw)
    return None if found is None or b'"e":' in raw else found[1].decode()


class Audit:
    """Looks at Redis, and remembers what it needs to judge.

    Attributes:
        script: the text of the script that looks, and its argument.
        where: the key of each task that has not ended, by the task's id.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = world.scripts.key("pending").removesuffix("pending")
        self.script = (AUDIT, self._before)
        self.where: dict[bytes, str] = {}
        # By digest: how many were admitted when it was last looked at.
        self._admitted: dict[str, int] = {}
        # Limits of one at once: the order of new tasks, and of their first hand-outs.
        self._arrivals: dict[bytes, int] = {}
        self._numbers = itertools.count()
        self._last: dict[str, int] = {}

    @staticmethod
    def expires(raw: bytes) -> int | None:
        found = re.search(rb'"x":(\d+)', raw)
        return int(found[1]) if found else None

    def arrived(self, raw: bytes) -> None:
        """A new task without a delay."""
        if limit_of(raw) and b'"p":' not in raw:
            self._arrivals[id_of(raw)] = next(self._numbers)

    def claimed(self, messages: list[bytes]) -> None:
        """These were handed out: with one place those of a key in their order."""
        for raw in messages:
            digest, number = limit_of(raw), self._arrivals.pop(id_of(raw), None)
            is_first = b'"retries":' not in raw and b'"deliveries":' not in raw
            if digest is None or number is None or digest[0] != "a" or not is_first:
                continue
            if number < self._last.get(digest, -1):
                raise Violation(f"{id_of(raw)!r} was handed out after one that came later")
            self._last[digest] = number

    def look(self) -> None:
        """Checks everything that must hold between two scripts."""
        self.judge(self._world.redis.eval(AUDIT, 0, self._before))

    def judge(self, reply: list[Any]) -> None:
        """Does that with the reply of the script."""
        found, places, due, in_line = reply
        self.where = {}
        admitted: dict[str, set[bytes]] = defaultdict(set)
        lines: dict[str, int] = defaultdict(int)
        for kind, raw in zip(found[::2], found[1::2], strict=True):
            self._see(kind.decode(), raw, admitted, lines)
        held: dict[str, dict[bytes, float]] = {}
        for kind, members in places:
            scores = map(float, members[1::2])
            digest = kind.decode().removeprefix(_PLACES)
            held[digest] = dict(zip(members[::2], scores, strict=True))
        for digest in {*admitted, *held}:
            if admitted[digest] != set(held.get(digest, ())):
                raise Violation(
                    f"{digest}: the places are {held.get(digest)}, of {admitted[digest]}"
                )
            self._check_most(digest, len(admitted[digest]))
        due_names = {one.decode() for one in due}
        for digest in lines:
            self._check_line(digest, held.get(digest, {}), due_names)
        if in_line != sum(lines.values()):
            raise Violation(f"{lines} are in lines, and {in_line} are counted")
        self._admitted = {digest: len(fields) for digest, fields in admitted.items()}

    def _see(
        self, kind: str, raw: bytes, admitted: dict[str, set[bytes]], lines: dict[str, int]
    ) -> None:
        task, digest = id_of(raw), limit_of(raw)
        if task in self.where:
            raise Violation(f"{task!r} is in {self.where[task]} and in {kind}")
        self.where[task] = kind
        if kind.startswith(_LINE):
            lines[kind.removeprefix(_LINE)] += 1
            if digest != kind.removeprefix(_LINE):
                raise Violation(f"{raw!r} is in {kind}")
        elif digest and kind != "delayed":
            found = message_field(raw)
            assert found is not None
            admitted[digest].add(found)

    def _check_most(self, digest: str, count: int) -> None:
        most = self._world.limits[digest[0]].most
        # A lower limit lets those end that are admitted.
        if most and count > max(most, self._admitted.get(digest, 0)):
            raise Violation(f"{count} of {digest} at once, and {most} are allowed")

    def _check_line(self, digest: str, held: dict[bytes, float], due: set[str]) -> None:
        numbers = self._world.limits[digest[0]]
        unpaid = sum(score < 0 for score in held.values())
        waits_for_place = 0 < numbers.most <= len(held)
        waits_for_time = numbers.period and (digest in due or unpaid >= numbers.burst)
        is_marked = digest in due or any(one.startswith(f"{digest[:16]}:") for one in due)
        if not (waits_for_place or waits_for_time or is_marked):
            raise Violation(f"some wait for {digest}, and nothing will call them")

    def at_rest(self) -> None:
        """All tasks have ended."""
        world = self._world
        counters = world.scripts.stats()
        ended = sum(counters.get(how, 0) for how in ("succeeded", "dead", "expired", "cancelled"))
        if ended != len(world.tasks) or counters.get("parked_twice"):
            raise Violation(f"{len(world.tasks)} tasks, and {counters}")
        for digest, times in world.begun.items():
            self._check_rate(digest, sorted(times))
        # A rate of which nothing waits is forgotten when it is paid for.
        world.scripts.us += 10_000_000
        for _ in range(3):
            world.scripts.promote()
        left = [name.decode() for name in world.redis.keys(f"{self._before}limit*")]
        kept = {f"{self._before}limits:{kind}" for kind in ("rules", "seen")}
        if set(left) - kept:
            raise Violation(f"these keys are left: {set(left) - kept}")

    def _check_rate(self, digest: str, times: list[int]) -> None:
        numbers = self._world.limits[digest[0]]
        if not numbers.period:
            return
        for first in range(len(times)):
            for last in range(first, len(times)):
                passed = times[last] - times[first]
                if last - first + 1 > numbers.burst + passed / numbers.period:
                    raise Violation(f"{last - first + 1} of {digest} in {passed} µs")
