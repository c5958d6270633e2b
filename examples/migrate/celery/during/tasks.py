"""The tasks of the shop, on Celery."""

from __future__ import annotations

import os
import time

from celery import Celery

app = Celery("tasks", broker=os.environ["REDIS_URL"])
app.conf.beat_schedule = {"count-stock": {"task": "tasks.count_stock", "schedule": 1.0}}


@app.task
def confirm(order: int) -> None:
    print(f"order {order}: confirmed", flush=True)


@app.task
def remind(order: int) -> None:
    print(f"order {order}: reminded", flush=True)


@app.task
def count_stock() -> None:
    print(f"stock counted at {time.time():.3f}", flush=True)
