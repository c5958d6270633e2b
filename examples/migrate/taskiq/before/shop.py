"""Places orders: `python shop.py 1 2 3`."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta

from tasks import broker, confirm, delayed, remind

# Seconds after which the customer is asked for a review.
REMIND_AFTER = float(os.environ.get("REMIND_AFTER", "86400"))


async def place(order: int) -> None:
    await confirm.kiq(order)
    when = datetime.now(UTC) + timedelta(seconds=REMIND_AFTER)
    await remind.schedule_by_time(delayed, when, order)


async def place_all(orders: list[int]) -> None:
    await broker.startup()
    for order in orders:
        await place(order)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(place_all([int(word) for word in sys.argv[1:]]))
