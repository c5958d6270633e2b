"""The disk of the append-only file is full, with `appendfsync everysec`: Redis
refuses every write (MISCONF) until there is room."""

from __future__ import annotations

import random

from chaos.disk import fill, no_small_disk, small_disk
from chaos.fault import Fault, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack
from support.waiting import wait_until

SHORTEST, LONGEST = 0.5, 4.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.redis_lock, stack.outage():
        filler = fill(stack.server.folder)
        wait_until(lambda: _status(stack) == "err", what="a write that fails")
        pause(chance.uniform(SHORTEST, LONGEST))
        filler.unlink()
        wait_until(lambda: _status(stack) == "ok", what="a write that succeeds")
    return Flow(now())


def _status(stack: Stack) -> str:
    info = stack.admin(lambda client: client.info("persistence"))
    return str(info["aof_last_write_status"])


FAULT = Fault(
    "Redis: disk full, appendfsync everysec",
    inject,
    setup=Setup(appendfsync="everysec", redis_folder=small_disk, missing=no_small_disk),
)
