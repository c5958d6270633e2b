"""A client, or the process that waits for results, is stopped (SIGSTOP), for a moment or past
its call's timeout, and goes on."""

from __future__ import annotations

import random
import signal

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.redis_faults import length
from chaos.stack import Stack


def inject(stack: Stack, chance: random.Random) -> Recovery:
    group = stack.clients if chance.random() < 0.5 else stack.waiters
    with stack.take(group, chance) as victim:
        victim.signal(signal.SIGSTOP)
        pause(length(chance))
        victim.signal(signal.SIGCONT)
    return Flow(now())


FAULT = Fault("client: SIGSTOP, SIGCONT", inject, trials=2, mixes=True)
