"""One scheduler or both are killed by SIGKILL; others take their places, at once
or a few seconds later."""

from __future__ import annotations

import random

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Recovery, Retries
from chaos.stack import Stack


def inject(stack: Stack, chance: random.Random) -> Recovery:
    both = chance.random() < 0.5
    with stack.take(stack.schedulers, chance) as victim:
        stack.kill(victim)
    if both:
        with stack.take(stack.schedulers, chance) as victim:
            stack.kill(victim)
    killed = now()
    pause(chance.uniform(0, 3))
    for _ in range(1 + both):
        stack.start_scheduler()
    return Retries(killed)


FAULT = Fault("scheduler: SIGKILL of one or both", inject, trials=4, kills=True, mixes=True)
