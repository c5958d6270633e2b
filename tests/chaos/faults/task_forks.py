"""A task forks, and the child returns from the task as if it were the worker."""

from __future__ import annotations

import random

from chaos.fault import Fault, Setup
from chaos.harmful_tasks import run_to_its_end
from chaos.ledger import now
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

TASKS = """
@fluxqueue.task_with_context()
def fork(ctx: Context, number):
    with ledger.run(number, ctx.metadata.retries):
        child = os.fork()
        if child:
            time.sleep(0.5)
    if child == 0:
        return "as if nothing had happened"
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    run_to_its_end(stack, "fork")
    return Flow(now())


FAULT = Fault("task: forks, and its child goes on", inject, Setup(tasks=TASKS))
