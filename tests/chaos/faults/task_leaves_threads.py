"""A task leaves threads behind that never end; SIGTERM still ends the worker."""

from __future__ import annotations

import random

from chaos.fault import Fault, Setup
from chaos.harmful_tasks import run_to_its_end
from chaos.ledger import now
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

TASKS = """
import threading

@fluxqueue.task_with_context()
def leave_threads(ctx: Context, number):
    with ledger.run(number, ctx.metadata.retries):
        for _ in range(3):
            threading.Thread(target=threading.Event().wait).start()
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    worker = run_to_its_end(stack, "leave_threads")
    began = now()
    stack.stop(worker)
    stack.start_worker()
    return Flow(began)


FAULT = Fault("task: leaves threads behind, SIGTERM", inject, Setup(tasks=TASKS))
