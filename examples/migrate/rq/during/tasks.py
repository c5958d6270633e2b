"""The tasks of the shop, on RQ."""

from __future__ import annotations

import os
import time

from redis import Redis
from rq import Queue

queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))


def confirm(order: int) -> None:
    print(f"order {order}: confirmed", flush=True)


def remind(order: int) -> None:
    print(f"order {order}: reminded", flush=True)


def count_stock() -> None:
    print(f"stock counted at {time.time():.3f}", flush=True)
