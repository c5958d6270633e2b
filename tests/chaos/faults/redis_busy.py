"""A script keeps Redis busy until Redis answers BUSY to all clients; then SCRIPT KILL
ends it."""

from __future__ import annotations

import random
import threading

import redis
from chaos.fault import Fault, FaultFailed
from chaos.ledger import now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack

# BUSY is the answer after five seconds.
SHORTEST, LONGEST = 5.5, 7.5


def inject(stack: Stack, chance: random.Random) -> Recovery:
    answers: list[str] = []

    def run_for_ever() -> None:
        try:
            stack.admin(lambda client: client.eval("while true do end", 0))
        except redis.ResponseError as error:
            answers.append(str(error))

    with stack.redis_lock, stack.outage():
        script = threading.Thread(target=run_for_ever)
        script.start()
        pause(chance.uniform(SHORTEST, LONGEST))
        stack.admin(lambda client: client.script_kill())
        script.join()
    if not any("killed" in answer for answer in answers):
        raise FaultFailed(f"the script was not killed: {answers}")
    return Flow(now())


FAULT = Fault("Redis: BUSY with a script", inject)
