"""A client can open no more files (RLIMIT_NOFILE) and loses its connection: its
calls say that nothing was sent."""

from __future__ import annotations

import random
import resource

from chaos.fault import CLIENT, Fault, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.refusals import wait_until_refused
from chaos.stack import Stack

# 0 to 2 are always taken, so none can be opened.
NONE_LEFT = 3
LONGEST = 3.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.take(stack.clients, chance) as victim:
        began = now()
        soft, hard = resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (NONE_LEFT, hard))
        stack.proxy_of(victim).cut_all()
        try:
            wait_until_refused(stack, began)
            pause(chance.uniform(0, LONGEST))
        finally:
            resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (soft, hard))
    return Flow(now())


FAULT = Fault(
    "descriptors: none left for a client",
    inject,
    setup=Setup(proxied=frozenset({CLIENT})),
    trials=2,
)
