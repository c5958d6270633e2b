"""A task closes the descriptors 0 to 2, and Redis closes the connections. The next
connections would get these numbers; the worker must give them others, or its output
goes to Redis."""

from __future__ import annotations

import contextlib
import os
import random

import psutil
from chaos.fault import Fault, FaultFailed, Setup
from chaos.harmful_tasks import run_to_its_end
from chaos.ledger import now
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack
from support.waiting import wait_until

# Seconds for which the lines are written.
WRITING = 6.0
STANDARD = (0, 1, 2)
# A connection: its descriptor and its local port.
Link = tuple[int, int]

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
    before = {worker.pid: _standard(worker.pid) for worker in stack.workers}
    worker = run_to_its_end(stack, "close_descriptors")
    if kept := _standard(worker.pid).items() & before[worker.pid].items():
        raise FaultFailed(f"not closed: {sorted(kept)}")
    old = _to_redis(worker.pid, stack.server.port)
    with stack.outage((worker.pid,)):
        if not stack.admin(lambda client: client.client_kill_filter(_type="normal", skipme=True)):
            raise FaultFailed("there was no connection to kill")
        written_to = now() + WRITING
        new: set[Link] = set()

        def written() -> bool:
            new.update(_to_redis(worker.pid, stack.server.port) - old)
            return now() >= written_to

        wait_until(written, interval=0.2)
    if not new:
        raise FaultFailed("it has opened no connection since")
    if standard := sorted(link for link in new if link[0] in STANDARD):
        stack.violations.append(f"connections to Redis that are written to: {standard}")
    return Flow(now())


def _standard(pid: int) -> dict[int, str]:
    """The open ones of the process's descriptors 0 to 2, and their targets."""
    found = {}
    for descriptor in STANDARD:
        with contextlib.suppress(FileNotFoundError):
            found[descriptor] = os.readlink(f"/proc/{pid}/fd/{descriptor}")
    return found


def _to_redis(pid: int, port: int) -> set[Link]:
    """The connections of the process to Redis."""
    connections = psutil.Process(pid).net_connections("tcp")
    return {(one.fd, one.laddr.port) for one in connections if one.raddr and one.raddr.port == port}


FAULT = Fault("task: closes descriptors 0 to 2", inject, Setup(tasks=TASKS))
