"""Redis hangs (SIGSTOP), for a moment or for longer than a lease, and goes on."""

from __future__ import annotations

import os
import random
import signal

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.redis_faults import length
from chaos.stack import Stack


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.redis_lock, stack.outage():
        os.kill(stack.server.pid, signal.SIGSTOP)
        pause(length(chance))
        os.kill(stack.server.pid, signal.SIGCONT)
    return Flow(now())


FAULT = Fault("Redis: hung (SIGSTOP), SIGCONT", inject, trials=2, mixes=True)
