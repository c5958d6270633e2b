"""Redis is slow: for a few seconds another client's script keeps it busy most of the
time, a fifth of a second each time."""

from __future__ import annotations

import random

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.redis_faults import keep_busy
from chaos.stack import Stack

SHORTEST, LONGEST = 2.0, 6.0
BUSY, IDLE = 0.2, 0.05


def inject(stack: Stack, chance: random.Random) -> Recovery:
    until = now() + chance.uniform(SHORTEST, LONGEST)
    with stack.redis_lock, stack.outage():
        while now() < until:
            keep_busy(stack, BUSY)
            pause(IDLE)
    return Flow(now())


FAULT = Fault("Redis: slow", inject, mixes=True)
