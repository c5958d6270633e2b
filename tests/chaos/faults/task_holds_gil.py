"""A task holds the GIL for a minute: nothing else of its worker's Python runs. The
lease is kept, and the tasks that the worker had claimed and not begun wait."""

from __future__ import annotations

import random

from chaos.fault import Fault, Setup
from chaos.harmful_tasks import run_to_its_end
from chaos.ledger import now
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

# `PyDLL` calls a C function without giving the GIL away.
TASKS = """
import ctypes

@fluxqueue.task_with_context()
def hold_gil(ctx: Context, number):
    with ledger.run(number, ctx.metadata.retries):
        ctypes.PyDLL(None).sleep(60)
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    run_to_its_end(stack, "hold_gil", timeout=100)
    return Flow(now())


FAULT = Fault("task: holds the GIL for 60 s", inject, Setup(tasks=TASKS), seconds=65.0)
