"""A worker gets SIGTERM under load: nothing runs twice, it ends with 0."""

from __future__ import annotations

import random

from chaos.fault import Fault
from chaos.ledger import now
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack


def inject(stack: Stack, chance: random.Random) -> Recovery:
    with stack.take(stack.workers, chance, busy=True) as victim:
        stack.stop(victim)
    ended = now()
    stack.start_worker()
    return Flow(ended)


FAULT = Fault("worker: SIGTERM (drain)", inject, trials=3, mixes=True)
