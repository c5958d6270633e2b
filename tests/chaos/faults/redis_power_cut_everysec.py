"""The machine of Redis loses its power, with `appendfsync everysec`: the end of
the append-only file, which was not on disk yet, is gone.

Redis is killed, and the file is cut to the size that it had at most two seconds
before: Redis promises no more (it syncs each second, and waits one more for a
slow disk). Writes acknowledged in that time are counted apart.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

from chaos.evidence import Outage
from chaos.fault import Fault, FaultFailed, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

SHORTEST, LONGEST = 0.2, 2.0


def append_only_file(folder: Path) -> Path:
    """The one that is being written: the newest in Redis 7, the only one in 6.2."""
    found = list(folder.glob("appendonlydir/*.incr.aof")) or list(folder.glob("*.aof"))
    if not found:
        raise FaultFailed(f"{folder} has no append-only file")
    return max(found, key=lambda file: file.stat().st_mtime)


def inject(stack: Stack, chance: random.Random) -> Recovery:
    file = append_only_file(stack.server.folder)
    began, size = now(), file.stat().st_size
    pause(chance.uniform(SHORTEST, LONGEST))
    with stack.redis_lock, stack.outage():
        stack.server.kill()
        cut = now()
        if file.stat().st_size <= size:
            raise FaultFailed("nothing was written meanwhile")
        os.truncate(file, size)
        stack.start_redis()
    stack.writes_lost.append(Outage(began, cut))
    return Flow(now())


FAULT = Fault(
    "Redis: power cut, appendfsync everysec",
    inject,
    setup=Setup(appendfsync="everysec"),
)
