"""The clocks of all processes, Redis among them, are minutes apart, and a worker
is killed: its tasks run elsewhere as soon as ever."""

from __future__ import annotations

import random
import time
from dataclasses import replace

from chaos.clocks import LEAST_SECONDS, check_preloaded, no_compiler, wrong_clock
from chaos.fault import FaultFailed, Setup
from chaos.faults import worker_killed
from chaos.recovery import Recovery
from chaos.stack import Stack


def inject(stack: Stack, chance: random.Random) -> Recovery:
    seconds, _ = stack.admin(lambda client: client.time())
    if abs(seconds - time.time()) < LEAST_SECONDS - 5:
        raise FaultFailed(f"the clock of Redis is right ({seconds})")
    check_preloaded(stack.pids())
    return worker_killed.inject(stack, chance)


FAULT = replace(
    worker_killed.FAULT,
    title="clocks: minutes apart, worker SIGKILL",
    inject=inject,
    setup=Setup(environment=wrong_clock, missing=no_compiler),
    trials=2,
    kills=False,
    mixes=False,
)
