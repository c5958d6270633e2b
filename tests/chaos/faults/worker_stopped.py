"""A worker is stopped (SIGSTOP) for less than its lease, and goes on (SIGCONT):
nothing runs twice."""

from __future__ import annotations

import random
import signal

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

# Renewed every 3.3 s, a lease of 10 s outlasts this.
SHORTEST, LONGEST = 0.5, 5.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.take(stack.workers, chance, busy=True) as victim, stack.outage((victim.pid,)):
        victim.signal(signal.SIGSTOP)
        pause(chance.uniform(SHORTEST, LONGEST))
        victim.signal(signal.SIGCONT)
    return Flow(now())


FAULT = Fault("worker: SIGSTOP within its lease, SIGCONT", inject, trials=2, mixes=True)
