"""Places orders: `python shop.py 1 2 3`."""

from __future__ import annotations

import asyncio
import os
import sys

from tasks import confirm, remind

# Seconds after which the customer is asked for a review.
REMIND_AFTER = float(os.environ.get("REMIND_AFTER", "86400"))


async def place(order: int) -> None:
    await confirm.enqueue_async(order)
    await remind.options(delay=REMIND_AFTER).enqueue_async(order)


async def place_all(orders: list[int]) -> None:
    for order in orders:
        await place(order)


if __name__ == "__main__":
    asyncio.run(place_all([int(word) for word in sys.argv[1:]]))
