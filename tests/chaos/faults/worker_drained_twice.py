"""A worker gets SIGTERM, and SIGTERM again while it drains: what still runs is given
back and runs elsewhere; the worker ends with 0."""

from __future__ import annotations

import random
import signal

from chaos.fault import Fault, FaultFailed
from chaos.ledger import Run, now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

# The first one has been noticed by then, and some tasks take longer.
SHORTEST, LONGEST = 0.1, 0.3
ATTEMPTS = 20


def inject(stack: Stack, chance: random.Random) -> Recovery:
    for _ in range(ATTEMPTS):
        with stack.take(stack.workers, chance, busy=True) as victim:
            victim.signal(signal.SIGTERM)
            pause(chance.uniform(SHORTEST, LONGEST))
            again = now()
            stack.stop(victim)
            ended = now()
        stack.lose(victim.pid, again, ended)
        stack.start_worker()
        runs = stack.ledger.history().runs
        # Without an end, or cancelled with the drain.
        if any(run.pid == victim.pid and run.over > again and not _has_ended(run) for run in runs):
            return Flow(ended)
    raise FaultFailed(f"{ATTEMPTS} drains had ended before they were cut short")


def _has_ended(run: Run) -> bool:
    return run.end is not None or run.failed is not None or run.off is not None


FAULT = Fault("worker: SIGTERM twice (drain cut short)", inject, trials=3)
