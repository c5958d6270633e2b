"""Connections break one after the other: reset, closed, or half open."""

from __future__ import annotations

import random

from chaos.fault import ROLES, Fault, FaultFailed, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

FEWEST, MOST = 5, 30
LONGEST_PAUSE = 0.2


def inject(stack: Stack, chance: random.Random) -> Recovery:
    cuts = 0
    with stack.outage():
        for _ in range(chance.randint(FEWEST, MOST)):
            cuts += chance.choice(stack.proxies()).cut_one(chance)
            pause(chance.uniform(0, LONGEST_PAUSE))
    if cuts == 0:
        raise FaultFailed("there was no connection to cut")
    return Flow(now())


FAULT = Fault(
    "network: cut, reset, half open",
    inject,
    setup=Setup(proxied=frozenset(ROLES)),
    trials=2,
    mixes=True,
)
