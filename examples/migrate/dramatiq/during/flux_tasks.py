"""The same functions as tasks of FluxQueue."""

from __future__ import annotations

import os
from datetime import datetime

import tasks
from fluxqueue import FluxQueue

fluxqueue = FluxQueue()  # FLUXQUEUE_REDIS_URL
# A time between two runs: the old system has the runs before it, FluxQueue those from it on.
MOVE_AT = datetime.fromisoformat(os.environ.get("MOVE_AT", "2026-12-01T03:30:00+00:00"))

confirm = fluxqueue.task()(tasks.confirm.fn)
remind = fluxqueue.task()(tasks.remind.fn)
count_stock = fluxqueue.task()(tasks.count_stock.fn)
fluxqueue.periodic(every=1, start=MOVE_AT)(count_stock)
