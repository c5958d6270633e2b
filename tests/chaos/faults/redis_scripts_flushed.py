"""SCRIPT FLUSH, repeatedly for a second or two."""

from __future__ import annotations

import random

from chaos.fault import Fault
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

MOST = 100
PAUSE = 0.02


def inject(stack: Stack, chance: random.Random) -> Recovery:
    for _ in range(chance.randint(1, MOST)):
        stack.admin(lambda client: client.script_flush())
        pause(PAUSE)
    return Flow(now())


FAULT = Fault("Redis: SCRIPT FLUSH", inject, trials=2, mixes=True)
