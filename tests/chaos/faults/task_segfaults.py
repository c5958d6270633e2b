"""A task reads from address 0."""

from __future__ import annotations

import random

from chaos.fault import Fault, Setup
from chaos.harmful_tasks import THREE_LOSSES, poison
from chaos.recovery import Recovery
from chaos.stack import Stack

TASKS = """
import ctypes
import resource

@fluxqueue.task_with_context()
def segfault(ctx: Context, number):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with ledger.run(number, ctx.metadata.retries):
        ctypes.string_at(0)
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    return poison(stack, "segfault")


FAULT = Fault(
    "task: segfault, three times", inject, Setup(tasks=TASKS), limit=THREE_LOSSES, seconds=40.0
)
