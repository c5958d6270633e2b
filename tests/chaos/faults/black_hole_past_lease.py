"""A worker is cut off from Redis, without a RST, for longer than its lease."""

from __future__ import annotations

import random

from chaos.fault import ROLES, Fault, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Elsewhere, Recovery
from chaos.stack import Stack

SHORTEST, LONGEST = 11.0, 14.0
# Until it has heard that its lease is lost.
HEARING = 0.5


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with (
        stack.take(stack.workers, chance, busy=True) as victim,
        stack.outage((victim.pid,)),
    ):
        proxy = stack.proxy_of(victim)
        began = now()
        proxy.black_hole = True
        pause(chance.uniform(SHORTEST, LONGEST))
        proxy.end_black_hole()
        stack.lose(victim.pid, began, now() + HEARING)
    return Elsewhere(victim.pid, began)


FAULT = Fault(
    "network: black hole past the worker's lease",
    inject,
    setup=Setup(proxied=frozenset(ROLES)),
    mixes=True,
    limit=12.0,
    seconds=12.0,
)
