"""The disk of the append-only file is full, with `appendfsync always`: Redis ends
at the first write that fails, and is started again once there is room."""

from __future__ import annotations

import random

from chaos.disk import fill, no_small_disk, small_disk
from chaos.fault import Fault, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack
from support.waiting import wait_until

LONGEST = 3.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.redis_lock, stack.outage():
        filler = fill(stack.server.folder)
        wait_until(lambda: stack.server.returncode is not None, what="the end of Redis")
        pause(chance.uniform(0, LONGEST))
        filler.unlink()
        stack.start_redis()
    return Flow(now())


FAULT = Fault(
    "Redis: disk full, appendfsync always",
    inject,
    setup=Setup(appendfsync="always", redis_folder=small_disk, missing=no_small_disk),
)
