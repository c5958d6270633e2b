"""A client can open no more files (RLIMIT_NOFILE) and loses its connection: its
calls say that nothing was sent."""

from __future__ import annotations

import random
import resource

from chaos.fault import CLIENT, Fault, FaultFailed, Setup
from chaos.ledger import REFUSED, now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

# 0 to 2 are always taken, so none can be opened.
NONE_LEFT = 3
# A call tries to connect for five seconds before it gives up.
SHORTEST, LONGEST = 5.5, 8.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.take(stack.clients, chance) as victim:
        began = now()
        soft, hard = resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (NONE_LEFT, hard))
        stack.proxy_of(victim).cut_all()
        pause(chance.uniform(SHORTEST, LONGEST))
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (soft, hard))
    calls = stack.ledger.history().calls.values()
    if not any(call.outcome == REFUSED and call.called >= began for call in calls):
        raise FaultFailed("no call was refused")
    return Flow(now())


FAULT = Fault(
    "descriptors: none left for a client",
    inject,
    setup=Setup(proxied=frozenset({CLIENT})),
    trials=2,
    mixes=True,
)
