"""Every way in which a script ends a task, returns it to a list, or takes it out of a claimed hash.

Whatever belongs to a task (a lock, a result, a place in a limit) must be looked after on each of
these ways. So this list is complete: a new way fails these tests until you add it here, and you
add it here when you have thought of all that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

CORE = Path(__file__).parents[3] / "packages/fluxqueue-core-rs"
LUA = CORE / "python/fluxqueue_core/lua"
PAGE = CORE.parents[1] / "docs/protocol.md"

# Ends: all go through `finish`. (Plain successes are the one list without a message.)
ENDS = {
    "finish(t, f, message, 'succeeded', nil, effects)": ["lib/settle.lua"],
    "finish(t, f, message, kind, nil, effects)": ["lib/settle.lua"],  # expired or cancelled
    "finish(t, f, message, 'dead', (save_dead or extra == '1') and payload, effects)": [
        "lib/settle.lua"
    ],
    "finish(t, f, message, 'dead', reason, effects)": ["move.lua"],
    # An operator deletes a task that waits.
    "finish(t, (field(message)), message, 'cancelled', nil, effects)": ["delete.lua"],
    "finish(t, 'newer:' .. digest, message, 'dead', reason)": ["lib/newer.lua"],
    "finish(t, 'sha1:' .. redis.sha1hex(message), message, 'dead', MALFORMED)": ["lib/hold.lua"],
}
# Parked: at an end by `finish` alone; a duplicate has not ended, its twin lives on.
PARKED = {
    "park(t, entry, message, reason)": ["lib/finish.lua"],
    "park(t, f, message, DUPLICATE)": ["lib/hold.lua", "lib/settle.lua"],
    "park(t, 'newer:' .. digest, message, DUPLICATE)": ["lib/newer.lua"],
}
# Each writing command on a key that holds messages, by what it means there.
OUT_OF_THE_CLAIMED_HASH = {
    # Plain successes, by their fields; then any other outcome.
    ("HDEL", "OWN_CLAIMED"): ["lib/settle.lua", "lib/settle.lua", "move.lua"],
    # All that an old consumer held has a new place by then.
    ("DEL", "claimed"): ["open.lua"],
}
INTO_THE_CLAIMED_HASH = {
    ("HSETNX", "OWN_CLAIMED"): ["lib/hold.lua"],
    # `settle` writes a message that is there again, with its checkpoint.
    ("HSET", "OWN_CLAIMED"): ["lib/claim.lua", "lib/settle.lua", "open.lua"],
}
TO_A_LIST = {
    # All that returns to a list, or has a priority, goes through `arrive`.
    ("RPUSH", "list"): ["lib/arrive.lua"],
    # From the line of a limit to the end of its list; a call that follows an end, at its place.
    # And: a task that an operator requeues, or runs before it is due.
    ("LPUSH", "list"): ["lib/arrive.lua", "lib/finish.lua", "promote.lua", "requeue.lua"],
    # With a priority: at the head of pending, in the zset, or there already.
    ("RPUSH", "PENDING"): ["lib/arrive.lua", "lib/arrive.lua", "lib/arrive.lua"],
    # The last two ask for the right to it, and add nothing.
    ("ZADD", "PRIORITIZED"): ["lib/arrive.lua", "lib/arrive.lua", "lib/arrive.lua"],
    # Into the line of a limit: to its head if it returns.
    ("RPUSH", "LINE .. digest"): ["lib/limit.lua"],
    ("LPUSH", "LINE .. digest"): ["lib/limit.lua"],
    # From there to the end of its list. The other one asks for the right: no list has this name.
    ("LMOVE", "line"): ["lib/limit_admission.lua"],
    ("LMOVE", "LINE"): ["lib/limit.lua"],
    # The inbox of a tombstone.
    ("LMOVE", "OWN_INBOX"): ["reclaim.lua"],
    # Back where it was: it has not been claimed.
    ("RPUSH", "source"): ["lib/claim.lua"],
    # A call that the script delivers: at once, or later (one of the two adds nothing). And: a
    # call that follows an end, if its own list can't be written.
    # And: a run of a periodic task, at once or with a delay.
    ("LPUSH", "PENDING"): [
        *("enqueue.lua", "enqueue_unique.lua", "lib/finish.lua", "lib/one_call.lua", "tick.lua")
    ],
    # Into another queue, whose scheduler brings it to its list.
    ("ZADD", "TARGET"): ["transfer.lua"],
    # And: a retry or a name that is not known; a newer version.
    # And: a call that follows an end, where no list takes it.
    ("ZADD", "DELAYED"): [
        *("enqueue.lua", "enqueue.lua", "enqueue_unique.lua", "enqueue_unique.lua"),
        "lib/finish.lua",
        *("lib/newer.lua", "lib/one_call.lua", "lib/settle.lua", "tick.lua", "tick.lua"),
    ],
}
OUT_OF_A_LIST = {
    # A condemned message is in its place; or it has ended.
    ("LREM", "list"): ["cancel.lua", "lib/removal.lua"],
    ("ZREM", "zset"): ["lib/removal.lua"],
    # Admitted, at its new place by then. The others ask for the right, and remove nothing.
    ("RPOP", "line"): ["lib/limit_admission.lua", "lib/limit_admission.lua"],
    ("RPOP", "LINE .. head.digest"): ["lib/limit.lua"],
    # A condemned message that waited in a line.
    ("LREM", "line"): ["cancel.lua"],
    # Replaced by another task; run before it is due. One of two in a file asks for the right.
    ("ZREM", "DELAYED"): [
        *("cancel.lua", "enqueue_unique.lua", "enqueue_unique.lua"),
        *("requeue.lua", "requeue.lua", "transfer.lua"),
    ],
    ("ZREM", "PRIORITIZED"): ["cancel.lua", "cancel.lua", "transfer.lua"],
    ("RPOP", "source"): ["lib/claim.lua"],
    ("RPOP", "OWN_INBOX"): ["lib/hold.lua"],
    ("LPOP", "OWN_INBOX"): ["reclaim.lua"],
    # From the head of pending into the zset, and back; claimed. The others ask for the right to
    # it, and remove nothing.
    ("RPOP", "PENDING"): ["cancel.lua", "lib/arrive.lua", "lib/arrive.lua"],
    ("ZREMRANGEBYRANK", "PRIORITIZED"): ["lib/arrive.lua", "lib/arrive.lua", "lib/arrive.lua"],
    # The first asks for the right to remove, and removes nothing.
    ("ZREMRANGEBYRANK", "DELAYED"): ["promote.lua", "promote.lua"],
}
# A condemned message comes to the front, before its old place is left.
TO_THE_FRONT = {
    "arrivals().push_front(list, condemned)": ["cancel.lua"],
    "arrivals().push_front(home(delayed), delayed)": ["cancel.lua"],
}
ARRIVALS = {
    "arrive(condemning().cancelled(message), true)": ["move.lua", "reclaim.lua"],
    "arrive(condemning().cancel(payload ~= '' and payload or message), true)": ["lib/settle.lua"],
    # Released: as it is, or with a raised count.
    "arrive(payload ~= '' and payload or message, true)": ["lib/settle.lua"],
    "arrive(condemning().cancelled(m), true)": ["open.lua"],
    "arrive(due[from], false)": ["promote.lua"],
    "arrive(message, false)": ["requeue.lua"],
    # A limited one without room for the mark of a condemned one.
    "arrive(delayed, true)": ["cancel.lua"],
    "arrive(limited[i], false)": ["tick.lua"],
}
# Past the limit of a message: those that are known to have none, and those that were admitted.
PAST_THE_LIMIT = {
    "arrivals().arrive(message, returns)": ["lib/limit.lua"],
    "arrivals().arrive(ready[i], true)": ["lib/limit_admission.lua"],
    "arrivals().arrive(ready[i], false, true)": ["lib/limit_admission.lua"],
    "arrivals().arrive(ranked[i], false)": ["enqueue.lua", "enqueue_unique.lua", "tick.lua"],
}
# Into the line of a limit.
INTO_A_LINE = {
    "limited.wait(message, returns)": ["lib/limit.lua"],
    "limits().wait(limited[i].message, false, limited[i].limit_text)": ["enqueue_unique.lua"],
}
# Each way out of a claimed hash, an inbox or a list frees the place in a limit, unless it is the
# way to the next worker. An end does it in `finish`.
LEAVES = {
    "limited.leave(message, entry)": ["lib/finish.lua"],
    "limited.leave(message, f)": ["lib/settle.lua", "move.lua"],
    "limited.leave(message, (field(message)))": ["cancel.lua", "reclaim.lua"],
    "limits().leave(m, f)": ["open.lua"],
}
# Each way into a claimed hash pays for the rate, unless an exchange has done so before.
HANDED = {
    "limited.handed(t, message)": ["lib/hold.lua"],
    "limits().handed(t, limited[i])": ["lib/claim.lua"],
    "limits().handed(t, popped[i])": ["lib/claim.lua"],
    "limits().handed(t, m)": ["open.lua"],
}
# A script that can touch a limit ends with this.
ADMITS_TOUCHED = {
    "limits_made.admit_touched(t)": [
        *("bury.lua", "cancel.lua", "delete.lua", "exchange.lua", "exchange.lua"),
        *("mend_limits.lua", "move.lua", "open.lua", "promote.lua", "requeue.lua"),
    ],
    "limits_made.admit_touched(now())": ["reclaim.lua"],
    "limits().admit_touched(t)": ["enqueue_unique.lua", "tick.lua"],
}
# A script that can bring something to the front of pending, or take from it, ends with this.
GUARDS = {
    "arrivals().guard()": [
        *("cancel.lua", "delete.lua", "exchange.lua", "open.lua", "promote.lua", "requeue.lua"),
        "transfer.lua",
    ],
    "arrivals().guard_front()": [
        *("bury.lua", "enqueue_unique.lua", "mend_limits.lua"),
        *("move.lua", "reclaim.lua", "tick.lua"),
    ],
}
OUT_OF_THE_DEAD_SET = [
    *("delete.lua", "requeue.lua", "requeue.lua"),
    *("transfer.lua", "transfer.lua", "trim_dead.lua"),
]
# Each way out of the dead set is one out of the index of its groups.
GROUPS = {
    "dead_groups().join(died, entry, message, reason)": ["group_dead.lua"],
    "dead_groups().leave({ARGV[i]})": ["group_dead.lua"],
    "dead_groups().leave({entry})": ["delete.lua", "requeue.lua", "transfer.lua"],
    "dead_groups().leave(gone)": ["trim_dead.lua"],
}
DEAD_SET = {
    ("ZADD", "DEAD"): ["lib/dead.lua"],
    ("HSET", "DEAD_MESSAGES"): ["lib/dead.lua"],
    ("HSET", "DEAD_REASONS"): ["lib/dead.lua"],
    # The first of two in a file asks for the right, and removes nothing.
    ("ZREM", "DEAD"): OUT_OF_THE_DEAD_SET,
    ("HDEL", "DEAD_MESSAGES"): OUT_OF_THE_DEAD_SET,
    ("HDEL", "DEAD_REASONS"): OUT_OF_THE_DEAD_SET,
}
# A lock is taken by a client's call or for a run of a periodic task, and again by a retry or rescue
# of its task. Each end frees it.
# Some of these ask for the right, and change nothing.
LOCKS = {
    ("HSET", "key"): ["enqueue_unique.lua", "enqueue_unique.lua", "lib/lock.lua", "tick.lua"],
    ("HDEL", "key"): [*["enqueue_unique.lua"] * 3, "lib/lock.lua"],
    # And: the numbers for a reader who watches.
    ("PEXPIRE", "key"): ["enqueue_unique.lua", "lib/lock.lua", "lib/watch.lua", "tick.lua"],
    ("HDEL", "UNIQUE"): ["enqueue_unique.lua"],
    ("PEXPIRE", "UNIQUE"): ["enqueue_unique.lua"],
    ("PEXPIRE", "unique"): ["tick.lua"],
}
# Counts and reports of workers, while a reader watches.
NUMBERS = {
    ("HINCRBY", "key"): ["lib/watch.lua", "lib/watch.lua"],
    ("HSET", "KEYS[at + 3]"): ["lib/watch.lua"],
    ("PEXPIRE", "KEYS[at + 3]"): ["lib/watch.lua"],
}
# Some of these ask for the right, and change nothing.
LIMITS = {
    ("ZADD", "PLACES .. digest"): ["lib/limit.lua"],
    ("ZADD", "places"): ["lib/limit_admission.lua"],
    ("ZREM", "PLACES .. digest"): ["lib/limit.lua"],
    ("ZREM", "PLACES .. head.digest"): ["lib/limit.lua"],
    ("ZREM", "places"): ["lib/limit_admission.lua", "mend_limits.lua"],
}
# A result is kept by `finish`, and by `cancel` for a task that waits. The first of each asks for
# the right, and writes nothing.
RESULTS = {
    # A task that is requeued is open again.
    ("DEL", "KEYS[tonumber(result)]"): ["requeue.lua"],
    ("SET", "effect[1]"): ["lib/result.lua", "lib/result.lua"],
    ("PUBLISH", "name"): ["lib/result.lua", "lib/result.lua"],
    ("SPUBLISH", "name"): ["lib/result.lua", "lib/result.lua"],
}
# The keys that say nothing about where a message is.
WITHOUT_MESSAGES = {
    *("CONSUMERS", "SWEEP", "STATS", "PAUSED", "NEWER", "WORKERS", "CANCELLED"),
    "FINISHED",
    # The messages of periodic tasks are not tasks yet.
    *("PERIODIC", "PERIODIC_MESSAGES", "PERIODIC_DUE", "PERIODIC_RUNS"),
    *("PERIODIC_CHANGED", "PERIODIC_SEEN", "PERIODIC_NOTES"),
    *("LIMITS", "TAT", "TEXTS", "RULES", "SEEN"),
    *("STRIKES", "AUDIT"),
    # The index of the groups of the dead set.
    *("texts", "groups_of", "before .. ':' .. digest", "before .. ':' .. digests[i]"),
}
READING = {
    *("HGETALL", "HLEN", "ZCOUNT", "ZREVRANK"),
    *("TIME", "TYPE", "EXISTS", "HEXISTS", "HGET", "HMGET", "HSCAN", "HVALS", "LINDEX", "LLEN"),
    *("HKEYS", "LPOS", "ZMSCORE", "LRANGE", "ZCARD", "ZRANGE", "ZRANGEBYSCORE", "ZSCORE"),
}


def sources() -> Iterator[tuple[str, str]]:
    """Each file without its comments."""
    for path in sorted(LUA.rglob("*.lua")):
        text = re.sub(r"--[^\n]*", "", path.read_text())
        yield path.relative_to(LUA).as_posix(), text


def calls(text: str, function: str) -> Iterator[str]:
    """The calls of a function, with all their arguments; not its definition."""
    for found in re.finditer(rf"(?<!function )(?<![\w.]){re.escape(function)}\(", text):
        depth, at = 0, found.end() - 1
        while depth or at < found.end():
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield re.sub(r"\s+", " ", text[found.start() : at])


def found(function: str) -> dict[str, list[str]]:
    where: dict[str, list[str]] = {}
    for name, text in sources():
        for call in calls(text, function):
            where.setdefault(call, []).append(name)
    return where


def writes() -> dict[tuple[str, str], list[str]]:
    where: dict[tuple[str, str], list[str]] = {}
    for name, text in sources():
        for function in ("redis.call", "redis.pcall"):
            for call in calls(text, function):
                words = re.fullmatch(r"[\w.]+\('(\w+)'(?:, ((?:[^,()]|\([^()]*\))+))?.*\)", call)
                assert words, f"{name}: the command of {call} can't be read"
                command, key = words[1], words[2] or ""
                if command not in READING and key not in WITHOUT_MESSAGES:
                    where.setdefault((command, key), []).append(name)
    return where


def test_every_end_of_a_task_goes_through_finish() -> None:
    assert found("finish") == ENDS


def test_a_message_is_parked_by_finish_or_as_a_duplicate() -> None:
    assert found("park") == PARKED


def test_ends_are_counted_by_finish_park_and_the_list_of_plain_successes_alone() -> None:
    counted = Counter[tuple[str, str]]()
    for name, text in sources():
        for call in re.findall(r"'HINCRBY', STATS, ('\w+'|\w+), (\w+)", text):
            counted[name, call[0]] += call[1] != "0"
    assert {key: count for key, count in counted.items() if count} == {
        ("lib/dead.lua", "'dead'"): 1,
        ("lib/dead.lua", "'parked_twice'"): 1,
        ("lib/finish.lua", "how"): 1,
        ("lib/settle.lua", "'succeeded'"): 1,
        # A replaced task, which no worker need end.
        ("enqueue_unique.lua", "'cancelled'"): 1,
        ("lib/settle.lua", "'retried'"): 1,
        ("move.lua", "'rescued'"): 1,
        # A length, not an end.
        ("lib/limit.lua", "'in_line'"): 1,
        ("requeue.lua", "'requeued'"): 1,
    }


def ends_of_the_page() -> dict[str, str]:
    """Each end of the table, with the counter that it raises."""
    section = PAGE.read_text().split("\n## Ends\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return {end.strip(" `"): counter.strip(" `") for end, _, counter, *_ in rows}


def test_the_page_has_every_end_with_its_counter() -> None:
    rust = (CORE / "src/message/opts.rs").read_text()
    unbegun = re.findall(r'Condemned::\w+ => "(\w+)",', rust)
    sources = [
        *LUA.rglob("*.lua"),
        *(CORE / "src/consumer").glob("*.rs"),
        CORE / "src/message/reason.rs",
        *(CORE.parents[1] / "services/scheduler/src").rglob("*.py"),
        *(CORE.parent / "fluxqueue-worker/src").rglob("*.py"),
    ]
    reasons: set[str] = set()
    for path in sources:
        text = path.read_text().split("#[cfg(test)]")[0]
        reasons |= set(re.findall(r'\{"reason":"(\w+)"', text))
        reasons |= set(
            re.findall(r'(?:parked|dead_reason|bury|malformed|Dead)\([^()]*"(\w+)"', text)
        )
        for listed in re.findall(r"const FAILURES: [^=]*=\s*\[([^\]]*)\]", text):
            reasons |= set(re.findall(r'"(\w+)"', listed))
    # Its task has not ended: another message has its field.
    reasons -= {"duplicate"}
    assert unbegun == ["expired", "cancelled"]
    expected = {"succeeded": "succeeded", **{how: how for how in unbegun}}
    assert ends_of_the_page() == expected | dict.fromkeys(reasons, "dead")


def test_the_list_of_all_ways_of_a_message_is_complete() -> None:
    listed = [OUT_OF_THE_CLAIMED_HASH, INTO_THE_CLAIMED_HASH, TO_A_LIST, OUT_OF_A_LIST, DEAD_SET]
    listed += [RESULTS, LOCKS, NUMBERS, LIMITS]
    everything = {way: files for ways in listed for way, files in ways.items()}
    assert len(everything) == sum(map(len, listed))
    assert {way: sorted(files) for way, files in writes().items()} == everything


def test_every_return_goes_through_arrive_and_every_script_with_one_keeps_the_guard() -> None:
    assert found("arrive") == ARRIVALS
    assert found("arrivals().arrive") == PAST_THE_LIMIT
    assert found("arrivals().push_front") == TO_THE_FRONT
    assert found("arrivals().guard") | found("arrivals().guard_front") == GUARDS


def test_every_way_through_a_limit_is_listed() -> None:
    assert found("limited.wait") | found("limits().wait") == INTO_A_LINE
    assert found("limited.leave") | found("limits().leave") == LEAVES
    assert found("limited.handed") | found("limits().handed") == HANDED
    calls = found("limits_made.admit_touched") | found("limits().admit_touched")
    assert calls == ADMITS_TOUCHED


def test_the_index_of_groups_follows_the_dead_set() -> None:
    assert found("dead_groups().join") | found("dead_groups().leave") == GROUPS


def test_settle_and_move_look_the_message_up_before_they_end_it() -> None:
    """An outcome that arrives twice, or too late, must do nothing the second time."""
    for name, look_up in {
        "lib/settle.lua": "'HGET', OWN_CLAIMED",
        "move.lua": "'HEXISTS', OWN_CLAIMED",
    }.items():
        text = dict(sources())[name]
        ended = [text.index(call) for call in calls(text, "finish")]
        assert ended and text.index(look_up) < min(ended), name
        assert max(ended) < text.rindex("'HDEL', OWN_CLAIMED"), name
