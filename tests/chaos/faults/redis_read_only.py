"""Redis is made a replica of one that is not there (`REPLICAOF`) and answers
READONLY for a while, as after a failover to the wrong one."""

from __future__ import annotations

import random

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.refusals import wait_until_refused
from chaos.stack import Stack

SHORTEST, LONGEST = 1.0, 6.0
# No server listens there.
NOWHERE = ("127.0.0.1", "1")


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.redis_lock, stack.outage():
        began = now()
        stack.admin(lambda client: client.execute_command("REPLICAOF", *NOWHERE))
        pause(chance.uniform(SHORTEST, LONGEST))
        try:
            wait_until_refused(stack, began)
        finally:
            stack.admin(lambda client: client.execute_command("REPLICAOF", "NO", "ONE"))
    return Flow(now())


FAULT = Fault("Redis: READONLY for a while", inject, trials=2)
