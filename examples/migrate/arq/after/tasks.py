"""The tasks of the shop, on FluxQueue."""

from __future__ import annotations

import os
import time
from datetime import datetime

from fluxqueue import FluxQueue

fluxqueue = FluxQueue()  # FLUXQUEUE_REDIS_URL
MOVE_AT = datetime.fromisoformat(os.environ.get("MOVE_AT", "2026-12-01T03:30:00+00:00"))


@fluxqueue.task()
async def confirm(order: int) -> None:
    print(f"order {order}: confirmed", flush=True)


@fluxqueue.task()
async def remind(order: int) -> None:
    print(f"order {order}: reminded", flush=True)


@fluxqueue.periodic(every=1, start=MOVE_AT)
@fluxqueue.task()
async def count_stock() -> None:
    print(f"stock counted at {time.time():.3f}", flush=True)
