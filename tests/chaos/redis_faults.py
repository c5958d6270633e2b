"""What several faults do to Redis."""

from __future__ import annotations

import random

from .ledger import now
from .pause import pause
from .recovery import Flow, Recovery
from .stack import Stack

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
