"""A task ends its process by os._exit."""

from __future__ import annotations

import random

from chaos.fault import Fault, Setup
from chaos.harmful_tasks import THREE_LOSSES, poison
from chaos.recovery import Recovery
from chaos.stack import Stack

TASKS = """
@fluxqueue.task_with_context()
def exit_now(ctx: Context, number):
    with ledger.run(number, ctx.metadata.retries):
        os._exit(1)
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    return poison(stack, "exit_now")


FAULT = Fault(
    "task: os._exit, three times", inject, Setup(tasks=TASKS), limit=THREE_LOSSES, seconds=40.0
)
