"""A worker is stopped (SIGSTOP) for longer than its lease, and goes on (SIGCONT)."""

from __future__ import annotations

import random
import signal

from chaos.fault import Fault
from chaos.ledger import now
from chaos.recovery import Elsewhere, Recovery
from chaos.stack import Stack
from support.waiting import wait_until

# Longer than the lease of 10 s, with the time between two sweeps.
SHORTEST, LONGEST = 11.0, 14.0
# After SIGCONT a thread may be between taking a task and its first line.
WAKING = 0.5


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.take(stack.workers, chance, busy=True) as victim:
        stopped = now()
        victim.signal(signal.SIGSTOP)
        until = stopped + chance.uniform(SHORTEST, LONGEST)
        recovery = Elsewhere(victim.pid, stopped)
        wait_until(lambda: now() >= until)
        victim.signal(signal.SIGCONT)
        stack.lose(victim.pid, stopped, now() + WAKING)
    return recovery


FAULT = Fault(
    "worker: SIGSTOP past its lease, SIGCONT", inject, mixes=True, limit=12.0, seconds=12.0
)
