"""A scheduler is stopped (SIGSTOP), for a moment or past the lease, and goes on:
the other one does its work."""

from __future__ import annotations

import random
import signal

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Recovery, Retries
from chaos.redis_faults import length
from chaos.stack import Stack


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.take(stack.schedulers, chance) as victim:
        stopped = now()
        victim.signal(signal.SIGSTOP)
        pause(length(chance))
        victim.signal(signal.SIGCONT)
    return Retries(stopped)


FAULT = Fault("scheduler: SIGSTOP, SIGCONT", inject, trials=2, mixes=True)
