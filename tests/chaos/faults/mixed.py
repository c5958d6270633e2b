"""Several of the other faults at once, at random."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from chaos.fault import ROLES, Fault, FaultFailed, Setup
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

FEWEST, MOST = 2, 4
# One of two may be in the other's way; then others are chosen.
ATTEMPTS = 5
# Seconds between the first and the last of them.
LONGEST_OFFSET = 3.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    from chaos.faults import load, names  # not at the top: this file is one of them

    mixable = [name for name in names() if name != "mixed" and load(name).mixes]
    for _ in range(ATTEMPTS):
        chosen = chance.sample(mixable, chance.randint(FEWEST, MOST))
        parts = [(load(name), random.Random(chance.random())) for name in chosen]
        with ThreadPoolExecutor(len(parts)) as pool:
            done = list(pool.map(lambda part: _one(part[0], stack, part[1]), parts))
        if sum(done) >= FEWEST:
            # Not theirs: a grace that one of them brings about may save what another
            # would have lost.
            return Flow(now())
    raise FaultFailed(f"no {FEWEST} were possible together, at last of: {', '.join(chosen)}")


def _one(fault: Fault, stack: Stack, chance: random.Random) -> bool:
    """Whether it took place: another one may have been in its way."""
    pause(chance.uniform(0, LONGEST_OFFSET))
    try:
        fault.inject(stack, chance)
    except FaultFailed:
        return False
    return True


FAULT = Fault(
    "several at once, at random",
    inject,
    setup=Setup(appendfsync="always", proxied=frozenset(ROLES)),
    trials=3,
)
