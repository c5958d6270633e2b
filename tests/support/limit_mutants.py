"""Scripts of limits with one rule broken: what to replace in them, by a name for people."""

from __future__ import annotations

LEAVES = "if limited then limited.leave(message, (field(message))) end\n"
RETURNS = "arrive(condemning().cancelled(message), true)"

MUTANTS: dict[str, tuple[str, str]] = {
    "a paused queue hands out tasks": ("if limit > 0 and paused == 0 then", "if limit > 0 then"),
    "a line is passed": (
        "if limited then limited.wait(message, returns) else",
        "if false then else",
    ),
    "new ones pass those who wait": (
        "redis.call('LPUSH', LINE",
        "redis.call('RPUSH', LINE",
    ),
    "the most is ignored": (
        "numbers.most > 0 and taken >= numbers.most or numbers.period",
        "numbers.period",
    ),
    "a free place admits none": (
        "if redis.call('ZREM', PLACES .. digest, f) == 1 then touch(digest) end",
        "redis.call('ZREM', PLACES .. digest, f)",
    ),
    "an end keeps the place": ("if limited then limited.leave(message, entry) end", ""),
    "a retry keeps the place": (
        "local limited = not ends and limits_of(message)",
        "local limited = nil",
    ),
    "open keeps the place": ("if limits_of(m) then limits().leave(m, f) end", ""),
    "a rescue keeps the place": (
        f"if limited then limited.leave(message, f) end\n      {RETURNS}",
        RETURNS,
    ),
    "reclaim keeps the place": (f"{LEAVES}    {RETURNS}", RETURNS),
    "cancel keeps the place": (f"{LEAVES}    arrivals()", "arrivals()"),
    "what was adopted has not paid": (
        "local limited = held and limits_of(message)",
        "local limited = nil",
    ),
    "open takes no account of the inbox": (
        "if unpaid[m] and limits_of(m) then limits().handed(t, m) end",
        "",
    ),
    "what was claimed has not paid": (
        "for i = 1, #limited do limits().handed(t, limited[i]) end",
        "",
    ),
    "admitted ones do not count for the rate": (
        "numbers.period > 0 and reserved >= numbers.burst",
        "false",
    ),
    "no time is waited for": ("if tat > micros() and at > micros() then", "if false then"),
    "admitted ones stay in their line": (
        "redis.pcall('LMOVE', line, home(ready[i]), 'RIGHT', 'LEFT')",
        "redis.pcall('LPUSH', home(ready[i]), ready[i])",
    ),
    "the last of a line is admitted": (
        "redis.pcall('LMOVE', line, home(ready[i]), 'RIGHT', 'LEFT')",
        "redis.pcall('LMOVE', line, home(ready[i]), 'LEFT', 'LEFT')",
    ),
    "a known time is not looked up": (
        "paid[digest] = paid[digest] or tonumber(redis.call('HGET', TAT, digest) or '0') or 0",
        "paid[digest] = paid[digest] or 0",
    ),
    "promote never looks again": ("if has_limits then limits().look_again(t) end", ""),
    "a changed rule wakes none": ("redis.call('ZADD', LIMITS, t, name .. ':0')", ""),
    "an empty key keeps its text": ("redis.call('HDEL', TEXTS, digest)", ""),
    "an empty key keeps its time": ("redis.call('HDEL', TAT, digest)", ""),
    "a cancel overlooks lines": ("local lines = limits().lines(limit)", "local lines = {}"),
}
