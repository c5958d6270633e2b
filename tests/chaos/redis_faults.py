"""Faults of Redis that several files share."""

from __future__ import annotations

import random

from .ledger import now
from .pause import pause
from .recovery import Flow, Recovery
from .stack import Stack

# Turns of an empty loop: some 20 ms.
SAMPLE = 2_000_000
# Away for a moment, or for longer than a lease.
SHORT, LONG = (0.0, 2.0), (10.5, 13.0)


def length(chance: random.Random) -> float:
    """Seconds of an outage: mostly short, else longer than the lease."""
    return chance.uniform(*(LONG if chance.random() < 0.25 else SHORT))


def kill_and_restart(stack: Stack, chance: random.Random) -> Recovery:
    """SIGKILL of Redis, and its start after a while."""
    with stack.redis_lock, stack.outage():
        stack.server.kill()
        pause(length(chance))
        stack.start_redis()
    return Flow(now())


def keep_busy(stack: Stack, seconds: float) -> float:
    """A script that does nothing for about so long; returns how long it took.
    (TIME stands still in a script, so it counts; a first one says how fast.)"""
    loop = "for _ = 1, tonumber(ARGV[1]) do end"
    began = now()
    stack.admin(lambda client: client.eval(loop, 0, SAMPLE))
    one = (now() - began) / SAMPLE
    began = now()
    stack.admin(lambda client: client.eval(loop, 0, round(seconds / one)))
    return now() - began
