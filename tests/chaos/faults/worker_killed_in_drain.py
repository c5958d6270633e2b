"""A worker gets SIGTERM, and SIGKILL while it drains."""

from __future__ import annotations

import random
import signal

from chaos.fault import Fault, FaultFailed
from chaos.pause import pause
from chaos.recovery import Elsewhere, Recovery
from chaos.stack import Stack, was_killed

# Some tasks take longer than that, so some drains do.
LONGEST = 0.3
ATTEMPTS = 20


def inject(stack: Stack, chance: random.Random) -> Recovery:
    for _ in range(ATTEMPTS):
        with stack.take(stack.workers, chance, busy=True) as victim:
            victim.signal(signal.SIGTERM)
            pause(chance.uniform(0, LONGEST))
            killed = stack.kill(victim, draining=True)
        stack.start_worker()
        if was_killed(victim):
            return Elsewhere(victim.pid, killed)
    raise FaultFailed(f"{ATTEMPTS} drains ended before they were killed")


FAULT = Fault(
    "worker: SIGKILL during a drain", inject, trials=4, kills=True, limit=12.0, seconds=12.0
)
