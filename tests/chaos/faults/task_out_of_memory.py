"""A task takes memory until its process is killed. RLIMIT_AS bounds the memory of the
process, and a failed allocation kills it, as the limit of a container would."""

from __future__ import annotations

import random

from chaos.fault import Fault, Setup
from chaos.harmful_tasks import THREE_LOSSES, poison
from chaos.recovery import Recovery
from chaos.stack import Stack

TASKS = """
import resource
import signal

@fluxqueue.task_with_context()
def take_all_memory(ctx: Context, number):
    pages = int(open("/proc/self/statm").read().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + (256 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    taken = []
    with ledger.run(number, ctx.metadata.retries):
        try:
            while True:
                taken.append(bytearray(1 << 20))
        except MemoryError:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    return poison(stack, "take_all_memory")


FAULT = Fault(
    "task: out of memory, three times", inject, Setup(tasks=TASKS), limit=THREE_LOSSES, seconds=40.0
)
