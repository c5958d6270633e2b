"""All traffic of a process vanishes for a while, without a RST: of a worker, a
scheduler, a client or a waiter, for less than a lease. No task runs twice."""

from __future__ import annotations

import random
from typing import Any

from chaos.fault import ROLES, Fault, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack
from support.waiting import wait_until

# The lease was renewed up to 3.3 s before; then there is time to connect again.
SHORTEST, LONGEST = 0.5, 4.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    groups: list[list[Any]] = [stack.workers, stack.schedulers, stack.clients, stack.waiters]
    with stack.take(chance.choice(groups), chance) as victim, stack.outage((victim.pid,)):
        proxy = stack.proxy_of(victim)
        before = proxy.swallowed
        proxy.black_hole = True
        wait_until(lambda: proxy.swallowed > before, what="something that is swallowed")
        pause(chance.uniform(SHORTEST, LONGEST))
        proxy.end_black_hole()
    return Flow(now())


FAULT = Fault(
    "network: black hole within the lease",
    inject,
    setup=Setup(proxied=frozenset(ROLES)),
    trials=3,
    mixes=True,
)
