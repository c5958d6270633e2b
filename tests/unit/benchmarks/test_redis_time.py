"""Where Redis' share of a task goes."""

from __future__ import annotations

import pytest
from fluxqueue_bench.redis_time import shares


def test_the_parts_are_together_the_whole() -> None:
    stats = {
        "cmdstat_evalsha": {"calls": 2, "usec": 900},
        "cmdstat_rpop": {"calls": 8, "usec": 100},
        "cmdstat_hset": {"calls": 8, "usec": 200},
        "cmdstat_config|resetstat": {"calls": 1, "usec": 50},
    }
    found = shares(stats, cpu=0.002, tasks=100)
    assert found == pytest.approx(
        {
            "RPOP": 1,
            "HMGET": 0,
            "HSET": 2,
            "HDEL": 0,
            "Lua": 6,
            "connections and the rest": 11,
        }
    )
    assert sum(found.values()) == pytest.approx(20)
