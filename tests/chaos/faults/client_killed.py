"""A client is killed by SIGKILL, as like as not in the middle of a call, and so is the process
that waits for results: another one finds them."""

from __future__ import annotations

import random

from chaos.fault import Fault
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.take(stack.clients, chance) as victim:
        killed = stack.kill(victim)
    stack.start_client(asynchronous=chance.random() < 0.5)
    with stack.take(stack.waiters, chance) as waiter:
        stack.kill(waiter)
    stack.start_waiter()
    return Flow(killed)


FAULT = Fault("client: SIGKILL", inject, trials=4, kills=True, mixes=True)
