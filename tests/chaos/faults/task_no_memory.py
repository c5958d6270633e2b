"""A task uses up all memory, and fails with a MemoryError. Meanwhile the other threads
of its worker get no memory either: some fail, or end the process."""

from __future__ import annotations

import random

from chaos.fault import Fault, Setup
from chaos.harmful_tasks import THREE_LOSSES
from chaos.ledger import now
from chaos.recovery import Known, Recovery
from chaos.stack import Stack

TASKS = """
import resource

@fluxqueue.task_with_context(max_retries=1, retry_delay=0.5)
def find_no_memory(ctx: Context, number):
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(open("/proc/self/statm").read().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + (64 << 20)
    taken = []
    with ledger.run(number, ctx.metadata.retries):
        try:
            resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
            while True:
                taken.append(bytearray(1 << 16))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
            taken.clear()
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    began = now()
    with stack.deaths():
        number = stack.enqueue("find_no_memory", expected="dead:failed", max_retries=1)
        stack.wait_until_dead(number, THREE_LOSSES)
    return Known(now() - began)


FAULT = Fault("task: MemoryError", inject, Setup(tasks=TASKS), limit=THREE_LOSSES)
