"""CLIENT KILL of every connection, several times."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from chaos.fault import Fault, FaultFailed
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

MOST = 5
LONGEST_PAUSE = 0.5


def inject(stack: Stack, chance: random.Random) -> Recovery:
    killed = 0
    for _ in range(chance.randint(1, MOST)):
        with stack.outage():
            for kind in ("normal", "pubsub"):
                killed += stack.admin(partial(_kill, kind))
        pause(chance.uniform(0, LONGEST_PAUSE))
    if killed == 0:
        raise FaultFailed("there was no connection to kill")
    return Flow(now())


def _kill(kind: str, client: Any) -> int:
    """Kills the connections of that kind; those with a subscription are `pubsub`."""
    killed: int = client.execute_command("CLIENT", "KILL", "TYPE", kind)
    return killed


FAULT = Fault("Redis: CLIENT KILL of all", inject, trials=3, mixes=True)
