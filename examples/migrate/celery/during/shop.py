"""Places orders: `python shop.py 1 2 3`. SHOP_QUEUE=fluxqueue is the switch."""

from __future__ import annotations

import os
import sys

import flux_tasks
import tasks

# Seconds after which the customer is asked for a review.
REMIND_AFTER = float(os.environ.get("REMIND_AFTER", "86400"))
USE_FLUXQUEUE = os.environ.get("SHOP_QUEUE") == "fluxqueue"


def place(order: int) -> None:
    if USE_FLUXQUEUE:
        flux_tasks.confirm.enqueue(order)
        flux_tasks.remind.options(delay=REMIND_AFTER).enqueue(order)
    else:
        tasks.confirm.delay(order)
        tasks.remind.apply_async((order,), countdown=REMIND_AFTER)


if __name__ == "__main__":
    for word in sys.argv[1:]:
        place(int(word))
