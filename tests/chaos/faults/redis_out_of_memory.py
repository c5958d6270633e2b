"""`maxmemory` is reached with `noeviction`: calls are refused, and what is there
still runs and is settled, which frees memory."""

from __future__ import annotations

import random

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.refusals import wait_until_refused
from chaos.remains import waiting
from chaos.stack import QUEUE, Stack
from support.waiting import wait_until

# Less than an empty Redis has.
LIMIT = "500kb"
SHORTEST, LONGEST = 1.0, 5.0
# Seconds until all that was there has been settled; the longest tasks take four.
PATIENCE = 30.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.redis_lock:
        began = now()
        stack.admin(lambda client: client.config_set("maxmemory", LIMIT))
        try:
            _wait_until_settled(stack)
            pause(chance.uniform(SHORTEST, LONGEST))
            wait_until_refused(stack, began)
        finally:
            stack.admin(lambda client: client.config_set("maxmemory", "0"))
    return Flow(now())


def _wait_until_settled(stack: Stack) -> None:
    version = stack.admin(lambda client: client.info("server"))["redis_version"]
    if int(version.split(".")[0]) < 7:
        return  # it knows no scripts that may go on; docs/guarantees.md says so
    wait_until(
        lambda: not stack.admin(lambda client: waiting(client, QUEUE)),
        timeout=PATIENCE,
        what="that all is settled while maxmemory is reached",
    )


FAULT = Fault("Redis: maxmemory reached, noeviction", inject, trials=2)
