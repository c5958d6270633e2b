"""Limits in all scripts, in any order of calls, with lost replies, kills and drains."""

from __future__ import annotations

from typing import Any

import pytest
from support.limit_audit import Violation
from support.limit_mutants import MUTANTS
from support.limit_world import World

STEPS = 800
SEEDS = 6
# A mutant must be found with one of these.
MUTANT_SEEDS = 6


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_order_of_calls_breaks_a_limit(redis: Any, seed: int) -> None:
    world = World(redis, seed)
    world.run(STEPS)
    assert world.counts["begun"] > 20 and world.counts["breaks"] > 5, world.counts
    assert (world.counts["pauses"] > 0) == world.pauses, world.counts
    redis.flushdb()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_found(redis: Any, name: str) -> None:
    for seed in range(MUTANT_SEEDS):
        redis.flushdb()
        world = World(redis, seed, MUTANTS[name])
        try:
            world.run(STEPS)
        except Violation:
            break
        finally:
            world.scripts.check_mutant()
    else:
        pytest.fail(f"nothing found: {name}")
    redis.flushdb()
