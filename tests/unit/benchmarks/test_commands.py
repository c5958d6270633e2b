"""The commands of a client are told apart from those of its scripts."""

from __future__ import annotations

import re

from fluxqueue_bench import commands
from fluxqueue_bench.harness import Bench
from fluxqueue_core import script


def test_a_command_in_a_script_does_not_count_as_a_round_trip() -> None:
    script = "redis.call('RPOP', KEYS[1], 2) return redis.call('LLEN', KEYS[1])"
    with Bench() as bench:
        bench.reset()
        bench.client.lpush("list", "a", "b", "c")
        bench.client.eval(script, 1, "list")
        found = bench.commands()
    assert (found.sent, found.executed) == (2, 4)
    assert found.per_thousand(4) == {"round trips/1k": 500, "commands/1k": 1_000}


def test_no_script_of_a_worker_calls_what_counts_as_sent() -> None:
    called = set()
    for name in ("open", "exchange"):
        called |= {found.lower() for found in re.findall(r"call\('(\w+)'", script(name))}
    assert {"rpop", "hdel"} <= called
    # Only a callback is pushed, and no measured task has one.
    assert called & set(commands._SENT) == {"lpush"}
