"""The application: takes orders and leaves the work to the workers.

It ends at once; this process does none of the work.
"""

from __future__ import annotations

import asyncio

import shop

ORDERS = [
    {
        "number": 1001,
        "customer": "ada@example.com",
        "lines": [
            {"article": "notebook", "count": 3, "price": 4.50},
            {"article": "pencil", "count": 12, "price": 0.80},
        ],
    },
    {
        "number": 1002,
        "customer": "grace@example.com",
        "lines": [{"article": "compiler", "count": 1, "price": 99.00}],
    },
]


def main() -> None:
    shop.export_catalogue(articles=20)
    for order in ORDERS:
        shop.confirm_order(order)
    shop.charge_card(1001, 23.10)
    shop.subscribe("nobody")
    asyncio.run(reserve())


async def reserve() -> None:
    await shop.reserve_stock(ORDERS)


if __name__ == "__main__":
    main()
