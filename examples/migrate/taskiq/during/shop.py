"""Places orders: `python shop.py 1 2 3`. SHOP_QUEUE=fluxqueue is the switch."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta

import flux_tasks
import tasks

# Seconds after which the customer is asked for a review.
REMIND_AFTER = float(os.environ.get("REMIND_AFTER", "86400"))
USE_FLUXQUEUE = os.environ.get("SHOP_QUEUE") == "fluxqueue"


async def place(order: int) -> None:
    if USE_FLUXQUEUE:
        await flux_tasks.confirm.enqueue_async(order)
        await flux_tasks.remind.options(delay=REMIND_AFTER).enqueue_async(order)
    else:
        await tasks.confirm.kiq(order)
        when = datetime.now(UTC) + timedelta(seconds=REMIND_AFTER)
        await tasks.remind.schedule_by_time(tasks.delayed, when, order)


async def place_all(orders: list[int]) -> None:
    await tasks.broker.startup()
    for order in orders:
        await place(order)
    await tasks.broker.shutdown()


if __name__ == "__main__":
    asyncio.run(place_all([int(word) for word in sys.argv[1:]]))
