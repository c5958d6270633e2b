"""The clocks of all processes jump: those of ours by minutes, either way; that of
Redis forward by minutes, or back by seconds.

The clock of Redis stays where it is: a retry is due by that clock, so it waits
for as long as the clock was set back (docs/guarantees.md).
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from chaos.clocks import (
    LEAST_SECONDS,
    MOST_SECONDS,
    check_preloaded,
    clocks_of,
    get_clock,
    no_compiler,
    offset_of,
    set_clock,
    settable_clock,
)
from chaos.fault import Fault, FaultFailed, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

SHORTEST, LONGEST = 1.0, 6.0
# Seconds by which the clock of Redis goes back.
LEAST_BACK, MOST_BACK = 5, 30


def inject(stack: Stack, chance: random.Random) -> Recovery:
    check_preloaded(stack.pids())
    began = now()
    stack.clock_jumped = True
    for clock in clocks_of(stack.folder):
        if clock.name.startswith("clock-redis"):
            _jump_of_redis(stack, clock, chance)
        else:
            set_clock(clock, offset_of(chance))
    pause(chance.uniform(SHORTEST, LONGEST))
    return Flow(began)


def _jump_of_redis(stack: Stack, clock: Path, chance: random.Random) -> None:
    jump = chance.randint(LEAST_SECONDS, MOST_SECONDS)
    if chance.random() < 0.5:
        jump = -chance.randint(LEAST_BACK, MOST_BACK)
    offset = get_clock(clock) + jump
    set_clock(clock, offset)
    before = int(time.time())
    seconds, _ = stack.admin(lambda client: client.time())
    if not before <= seconds - offset <= time.time():
        raise FaultFailed(f"the clock of Redis has not jumped to {offset} s ({seconds})")


FAULT = Fault(
    "clocks: jump by minutes",
    inject,
    setup=Setup(environment=settable_clock, missing=no_compiler),
    trials=3,
)
