"""The queues of a test in Redis: counts their tasks, and lets time pass for them."""

from __future__ import annotations

from typing import Any, NamedTuple

from fluxqueue_core import key

# All at one moment: a task that moves from one key to another is counted once.
_COUNT = """
local prefix, now = ARGV[1], redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local waiting, running, later, next_due = 0, 0, 0, -1
for _, queue in ipairs(redis.call('SMEMBERS', prefix .. ':queues')) do
  local of = prefix .. ':{' .. queue .. '}:'
  waiting = waiting + redis.call('LLEN', of .. 'pending') + redis.call('LLEN', of .. 'suspects')
    + redis.call('ZCARD', of .. 'prioritized') + (redis.call('HGET', of .. 'stats', 'in_line') or 0)
    + redis.call('ZCOUNT', of .. 'delayed', '-inf', now_ms)
  later = later + redis.call('ZCOUNT', of .. 'delayed', '(' .. now_ms, '+inf')
  local first = redis.call('ZRANGEBYSCORE', of .. 'delayed', '(' .. now_ms, '+inf', 'WITHSCORES',
    'LIMIT', 0, 1)
  local left = first[2] and first[2] - now_ms or -1
  if left >= 0 and (next_due < 0 or left < next_due) then next_due = left end
  for _, consumer in ipairs(redis.call('ZRANGE', of .. 'consumers', 0, -1)) do
    running = running + redis.call('HLEN', of .. 'claimed:' .. consumer)
    waiting = waiting + redis.call('LLEN', of .. 'inbox:' .. consumer)
  end
end
return {waiting, running, later, math.ceil(next_due)}
"""

# The moments of delayed tasks, of their expiries, and of what Redis forgets by itself.
_TRAVEL = """
local prefix, ms = ARGV[1], tonumber(ARGV[2])
for _, queue in ipairs(redis.call('SMEMBERS', prefix .. ':queues')) do
  local of, moved = prefix .. ':{' .. queue .. '}:', {}
  local delayed = redis.call('ZRANGE', of .. 'delayed', 0, -1, 'WITHSCORES')
  for i = 1, #delayed, 2 do
    local message = delayed[i]
    local before, moment, behind = string.match(message,
      '^({"v":2,"id":"[^"]*"[^{]*"opts":{[^{}]-"x":)(%d+)(.*)$')
    if before then message = before .. string.format('%.0f', moment - ms) .. behind end
    redis.call('ZREM', of .. 'delayed', delayed[i])
    redis.call('ZADD', of .. 'delayed', string.format('%.0f', delayed[i + 1] - ms), message)
    moved[delayed[i]] = message
  end
  for _, name in ipairs(redis.call('KEYS', of .. 'unique:*')) do
    local held, since = unpack(redis.call('HMGET', name, 'message', 'since'))
    if held and moved[held] then redis.call('HSET', name, 'message', moved[held]) end
    if since then redis.call('HSET', name, 'since', string.format('%.0f', since - ms)) end
  end
  for _, kind in ipairs({'unique:*', 'result:*'}) do
    for _, name in ipairs(redis.call('KEYS', of .. kind)) do
      local left = redis.call('PTTL', name)
      if left > 0 then redis.call('PEXPIRE', name, math.max(left - ms, 0)) end
    end
  end
end
"""

# Tasks that a worker has put off because it did not know them become due. The member is the last
# one of a message: docs/protocol.md.
_RETRY_UNKNOWN = """
local prefix, now = ARGV[1], redis.call('TIME')
for _, queue in ipairs(redis.call('SMEMBERS', prefix .. ':queues')) do
  local delayed = prefix .. ':{' .. queue .. '}:delayed'
  for _, message in ipairs(redis.call('ZRANGE', delayed, 0, -1)) do
    if string.find(message, ',"unknown_since":%d+}$') then
      redis.call('ZADD', delayed, now[1] * 1000 + math.floor(now[2] / 1000), message)
    end
  end
end
"""


class Held(NamedTuple):
    """How many tasks the queues hold.

    Attributes:
        waiting: that are due, and no worker has begun.
        running: that workers have.
        later: that are delayed.
        next_due: ms until the first of these is due; -1: there is none.
    """

    waiting: int
    running: int
    later: int
    next_due: int


class QueuesOfTest:
    """The queues of one namespace, on one server.

    Args:
        url: that of the server.
    """

    def __init__(self, url: str, namespace: str) -> None:
        from redis import Redis  # an application's tests without this mode need no redis-py

        self._redis: Any = Redis.from_url(url)
        self._count = self._redis.register_script(_COUNT)
        self._travel = self._redis.register_script(_TRAVEL)
        self._retry_unknown = self._redis.register_script(_RETRY_UNKNOWN)
        self._prefix = key("queues", namespace=namespace).rpartition(":")[0]

    def held(self) -> Held:
        """Counts the tasks."""
        return Held(*map(int, self._count(args=[self._prefix])))

    def travel(self, ms: int) -> None:
        """Lets time pass for what Redis has."""
        self._travel(args=[self._prefix, ms])

    def retry_unknown(self) -> None:
        """Lets the tasks that a worker has put off as unknown run at once."""
        self._retry_unknown(args=[self._prefix])

    def delete(self) -> None:
        """Deletes all keys, and closes the connection."""
        # Other namespaces have another prefix up to the colon.
        for some in _chunks(self._redis.scan_iter(f"{self._prefix}:*", count=1_000)):
            self._redis.unlink(*some)
        self._redis.close()


def _chunks(names: Any) -> Any:
    some: list[bytes] = []
    for name in names:
        some.append(name)
        if len(some) == 500:
            yield some
            some = []
    if some:
        yield some
