"""The tasks of the shop, on Dramatiq."""

from __future__ import annotations

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))


@dramatiq.actor
def confirm(order: int) -> None:
    print(f"order {order}: confirmed", flush=True)


@dramatiq.actor
def remind(order: int) -> None:
    print(f"order {order}: reminded", flush=True)


@dramatiq.actor
def count_stock() -> None:
    print(f"stock counted at {time.time():.3f}", flush=True)
