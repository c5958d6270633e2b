"""A task blocks SIGTERM in its thread and leaves it blocked. The worker still drains."""

from __future__ import annotations

import random

from chaos.fault import Fault, Setup
from chaos.harmful_tasks import run_to_its_end
from chaos.ledger import now
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

TASKS = """
import signal

@fluxqueue.task_with_context()
def block_sigterm(ctx: Context, number):
    with ledger.run(number, ctx.metadata.retries):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    worker = run_to_its_end(stack, "block_sigterm")
    began = now()
    stack.stop(worker)
    stack.start_worker()
    return Flow(began)


FAULT = Fault("task: blocks SIGTERM in its thread", inject, Setup(tasks=TASKS))
