"""The scripts of periodic tasks: each moment comes once, whatever schedulers, callers and
workers do, and lose."""

from __future__ import annotations

from typing import Any

import pytest
from support.periodic_world import CLOCK, Violation, World

SEEDS = range(1, 9)
STEPS = 800

# (script, its text, the text of the mutant)
MUTANTS = {
    "a moment is not compared": ("tick", "moments[n] == group.due", "moments[n]"),
    "a moment is not waited for": ("tick", " or tonumber(group.due) <= t", " or true"),
    "the clock of the scheduler decides": ("tick", "not is_ahead and ", ""),
    "the record is not compared": ("tick", "sub(template, 1, 16) == digests[n] and ", ""),
    "the next moment is not written": (
        "tick",
        "if #dues > 0 then redis.call('ZADD', PERIODIC_DUE, unpack(dues)) end",
        "",
    ),
    "a run has the time of the call": ("tick", "local ms = tonumber(moment)", "local ms = t"),
    "a group has the moment of the one before": (
        "tick",
        "local group, stop = read_group(at)",
        "local group, stop = groups[#groups] or read_group(at)",
    ),
    "a run begins beside another": ("tick", "if held[key] then return false end", ""),
    "a run takes no lock": ("tick", "'HSET', key, 'id', task", "'HSET', key, 'other', task"),
    "runs of one call begin together": ("tick", "  held[key] = true\n", ""),
    "a moment is skipped without a run": ("tick", "'id')) == 'string'", "'id')) ~= ''"),
    "a paused entry keeps its moment": (
        "schedule",
        "if paused == '1' then redis.call('ZREM', PERIODIC_DUE, id) else",
        "if paused == '1' then else",
    ),
    "a removed entry keeps its record": ("schedule", "  redis.call('HDEL', PERIODIC, id)\n", ""),
    "a change of the message loses the moment": (
        "schedule",
        "string.sub(old, 17, 24) == string.sub(record, 17, 24)",
        "false",
    ),
    "a change of the times keeps the moment": (
        "schedule",
        "string.sub(old, 17, 24) == string.sub(record, 17, 24)",
        "true",
    ),
    "each release replaces the other": ("schedule", "t - before < grace and", "false and"),
    "a stop does not look": ("schedule", " or score ~= last then", " then"),
    "a moment is not noted": ("tick", "LPUSH', PERIODIC_NOTES", "LPUSHX', PERIODIC_NOTES"),
    "the newest note is filed first": ("tick", "notes[#notes - filed]", "notes[filed + 1]"),
    "an entry that is gone gets a history": ("tick", "if records[n] then", "if true then"),
}


def check(redis: Any, mutant: tuple[str, str, str] | None) -> World:
    try:
        for seed in SEEDS:
            redis.flushdb()
            world = World(redis, seed, mutant)
            world.check(STEPS)
    finally:
        redis.delete(CLOCK)
    return world


@pytest.mark.versions
def test_each_moment_comes_once(redis: Any) -> None:
    world = check(redis, None)
    assert world.counts["runs"] > 50 and world.counts["skipped"] > 5
    assert world.counts["histories"] > 5


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_check_finds_a_broken_script(redis: Any, mutant: str) -> None:
    with pytest.raises(Violation) as found:
        check(redis, MUTANTS[mutant])
    print(found.value)
