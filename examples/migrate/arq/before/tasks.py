"""The tasks of the shop, on arq."""

from __future__ import annotations

import os
import time
from typing import Any

from arq import cron
from arq.connections import RedisSettings


async def confirm(ctx: dict[Any, Any], order: int) -> None:
    print(f"order {order}: confirmed", flush=True)


async def remind(ctx: dict[Any, Any], order: int) -> None:
    print(f"order {order}: reminded", flush=True)


async def count_stock(ctx: dict[Any, Any]) -> None:
    print(f"stock counted at {time.time():.3f}", flush=True)


class WorkerSettings:
    functions = (confirm, remind, count_stock)
    cron_jobs = (cron(count_stock, second=set(range(60))),)
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])
    # Seconds that a stopped worker gives its running tasks; by default it cancels them.
    job_completion_wait = 60
