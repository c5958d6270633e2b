"""A worker is killed by SIGKILL while it runs tasks; another one takes its place."""

from __future__ import annotations

import random

from chaos.fault import Fault
from chaos.recovery import Elsewhere, Recovery
from chaos.stack import Stack


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.take(stack.workers, chance, busy=True) as victim:
        killed = stack.kill(victim)
    stack.start_worker()
    return Elsewhere(victim.pid, killed)


FAULT = Fault("worker: SIGKILL", inject, trials=4, kills=True, mixes=True, limit=12.0, seconds=12.0)
