"""The same functions as tasks of FluxQueue, without the `ctx` of arq."""

from __future__ import annotations

import os
from datetime import datetime

import tasks
from fluxqueue import FluxQueue

fluxqueue = FluxQueue()  # FLUXQUEUE_REDIS_URL
# A time between two runs: the old system has the runs before it, FluxQueue those from it on.
MOVE_AT = datetime.fromisoformat(os.environ.get("MOVE_AT", "2026-12-01T03:30:00+00:00"))


@fluxqueue.task()
async def confirm(order: int) -> None:
    await tasks.confirm({}, order)


@fluxqueue.task()
async def remind(order: int) -> None:
    await tasks.remind({}, order)


@fluxqueue.periodic(every=1, start=MOVE_AT)
@fluxqueue.task()
async def count_stock() -> None:
    await tasks.count_stock({})
