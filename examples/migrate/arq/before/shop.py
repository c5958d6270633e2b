"""Places orders: `python shop.py 1 2 3`."""

from __future__ import annotations

import asyncio
import os
import sys

from arq import ArqRedis, create_pool
from tasks import WorkerSettings

# Seconds after which the customer is asked for a review.
REMIND_AFTER = float(os.environ.get("REMIND_AFTER", "86400"))


async def place(pool: ArqRedis, order: int) -> None:
    await pool.enqueue_job("confirm", order)
    await pool.enqueue_job("remind", order, _defer_by=REMIND_AFTER)


async def place_all(orders: list[int]) -> None:
    pool = await create_pool(WorkerSettings.redis_settings)
    for order in orders:
        await place(pool, order)
    await pool.aclose()


if __name__ == "__main__":
    asyncio.run(place_all([int(word) for word in sys.argv[1:]]))
