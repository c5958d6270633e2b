"""The tasks of the ordinary load, and what the client calls."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .ledger import ENDS

# The source of the workers' module `app`, after `worker_process.PRELUDE`. A task
# whose first argument is its number in the ledger.
APP = """
import asyncio
from chaos.ledger import Ledger

ledger = Ledger(os.environ["LEDGER"])

@fluxqueue.task_with_context()
def work(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries):
        time.sleep(seconds)

@fluxqueue.task_with_context()
async def work_async(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries):
        await asyncio.sleep(seconds)

@fluxqueue.task_with_context(retry_delay=0.5)
def flaky(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries):
        time.sleep(seconds)
        if ctx.metadata.retries == 0:
            raise RuntimeError("at first it fails")

@fluxqueue.task_with_context(max_retries=1, retry_delay=0.5)
def doomed(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries):
        time.sleep(seconds)
        raise RuntimeError("it always fails")
"""

# Attempts that a task has which always fails, the first included.
ATTEMPTS_OF_DOOMED = 2


@dataclass(frozen=True)
class Kind:
    """One of the tasks above, with the durations that it is called with."""

    name: str
    expected: str
    weight: int
    shortest: float
    longest: float
    max_retries: int = 3


KINDS = (
    Kind("work", ENDS, 60, 0.0, 0.03),
    Kind("work", ENDS, 14, 0.3, 1.5),
    Kind("work", ENDS, 2, 2.0, 4.0),
    Kind("work_async", ENDS, 14, 0.0, 1.0),
    Kind("flaky", ENDS, 7, 0.0, 0.3),
    Kind("doomed", "dead:failed", 3, 0.0, 0.1, max_retries=1),
)


def choose(chance: random.Random) -> tuple[Kind, float]:
    """Returns a random task, and how many seconds it should take."""
    (kind,) = chance.choices(KINDS, [kind.weight for kind in KINDS])
    return kind, round(chance.uniform(kind.shortest, kind.longest), 3)
