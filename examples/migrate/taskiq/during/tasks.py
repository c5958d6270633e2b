"""The tasks of the shop, on taskiq."""

from __future__ import annotations

import os
import time

from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

broker = RedisStreamBroker(os.environ["REDIS_URL"])
delayed = ListRedisScheduleSource(os.environ["REDIS_URL"])
scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker), delayed])


@broker.task
async def confirm(order: int) -> None:
    print(f"order {order}: confirmed", flush=True)


@broker.task
async def remind(order: int) -> None:
    print(f"order {order}: reminded", flush=True)


@broker.task
async def count_stock() -> None:
    print(f"stock counted at {time.time():.3f}", flush=True)
