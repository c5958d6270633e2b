"""A task closes the descriptors 0 to 2. What is opened next gets their numbers: the
connections to Redis, since Redis closes those that there are."""

from __future__ import annotations

import random
import time

from chaos.fault import Fault, FaultFailed, Setup
from chaos.harmful_tasks import run_to_its_end
from chaos.ledger import now
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

TASKS = """
import threading

def write_everywhere():
    # What user code and libraries do without a thought.
    for _ in range(500):
        for descriptor in (1, 2):
            try:
                os.write(descriptor, b"a line of the user's" + bytes([13, 10]))
            except OSError:
                pass
        time.sleep(0.01)

@fluxqueue.task_with_context()
def close_descriptors(ctx: Context, number):
    with ledger.run(number, ctx.metadata.retries):
        for descriptor in range(3):
            os.close(descriptor)
        threading.Thread(target=write_everywhere).start()
"""


def inject(stack: Stack, chance: random.Random) -> Recovery:
    worker = run_to_its_end(stack, "close_descriptors")
    with stack.outage((worker.pid,)):
        if not stack.admin(lambda client: client.client_kill_filter(_type="normal", skipme=True)):
            raise FaultFailed("there was no connection to kill")
        time.sleep(6.0)  # as long as the lines are written
    return Flow(now())


FAULT = Fault("task: closes descriptors 0 to 2", inject, Setup(tasks=TASKS))
