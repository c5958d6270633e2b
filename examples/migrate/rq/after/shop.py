"""Places orders: `python shop.py 1 2 3`."""

from __future__ import annotations

import os
import sys

from tasks import confirm, remind

# Seconds after which the customer is asked for a review.
REMIND_AFTER = float(os.environ.get("REMIND_AFTER", "86400"))


def place(order: int) -> None:
    confirm.enqueue(order)
    remind.options(delay=REMIND_AFTER).enqueue(order)


if __name__ == "__main__":
    for word in sys.argv[1:]:
        place(int(word))
