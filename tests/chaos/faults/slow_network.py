"""Every packet is late, both ways, for all processes, for a few seconds."""

from __future__ import annotations

import random

from chaos.fault import ROLES, Fault, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

# Seconds each way.
SHORTEST_DELAY, LONGEST_DELAY = 0.02, 0.7
SHORTEST, LONGEST = 2.0, 8.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    proxies = stack.proxies()
    with stack.outage():
        for proxy in proxies:
            proxy.delay = chance.uniform(SHORTEST_DELAY, LONGEST_DELAY)
        pause(chance.uniform(SHORTEST, LONGEST))
        for proxy in proxies:
            proxy.delay = 0.0
    return Flow(now())


FAULT = Fault(
    "network: slow",
    inject,
    setup=Setup(proxied=frozenset(ROLES)),
    mixes=True,
)
