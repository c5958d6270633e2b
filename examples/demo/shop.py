"""The tasks of a small shop, as an application writes them.

The functions run in a worker. Calling one (see place_orders.py) only puts the call
into Redis. If a worker dies in the middle of a task, the task runs again, so each
can be repeated without harm.
"""

from __future__ import annotations

import csv
import json
import os
import time
import urllib.request
from collections import Counter
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from fluxqueue import Context, FluxQueue

# The demo gives every run a separate queue and folder.
QUEUE = os.environ.get("SHOP_QUEUE", "shop")
FOLDER = Path(os.environ.get("SHOP_FOLDER", "shop-data"))
PAYMENT_URL = os.environ.get("SHOP_PAYMENT_URL", "http://127.0.0.1:8080/charges")

fluxqueue = FluxQueue(None)  # FLUXQUEUE_REDIS_URL, or redis://127.0.0.1:6379


@fluxqueue.task(queue=QUEUE)
def confirm_order(order: dict[str, Any]) -> None:
    """Renders the confirmation as an e-mail."""
    mail = EmailMessage()
    mail["To"] = order["customer"]
    mail["Subject"] = f"Your order {order['number']}"
    lines = [
        f"{line['count']:3} x {line['article']:<12} {line['price']:8.2f}" for line in order["lines"]
    ]
    total = sum(line["count"] * line["price"] for line in order["lines"])
    mail.set_content("\n".join([*lines, f"{'Total':>18} {total:8.2f}"]))
    save(f"mail-{order['number']}.eml", mail.as_string())


@fluxqueue.task(queue=QUEUE)
async def reserve_stock(orders: list[dict[str, Any]]) -> None:
    """Counts the articles that leave the warehouse; an `async def` is a task like any other."""
    counts: Counter[str] = Counter()
    for order in orders:
        for line in order["lines"]:
            counts[line["article"]] += line["count"]
    save("stock.json", json.dumps(counts))


@fluxqueue.task(queue=QUEUE, max_retries=5, retry_delay=0.5)
def charge_card(number: int, amount: float) -> None:
    """Asks the payment provider. If it is busy, the request raises, and the task runs
    again, each time after a longer pause."""
    body = json.dumps({"order": number, "amount": amount}).encode()
    # The provider charges an order once, even if the request is repeated.
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"order-{number}"}
    request = urllib.request.Request(PAYMENT_URL, body, headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        save(f"receipt-{number}.json", response.read().decode())


@fluxqueue.task(queue=QUEUE, max_retries=2, retry_delay=0.2)
def subscribe(address: str) -> None:
    """Always fails for an invalid address: the task ends up dead."""
    if "@" not in address:
        raise ValueError(f"{address!r} is not an e-mail address")
    save(f"subscriber-{address}", address)


@fluxqueue.task_with_context(queue=QUEUE)
def export_catalogue(ctx: Context, articles: int) -> None:
    """Takes two seconds, in which its worker may be killed."""
    with (FOLDER / "export-workers").open("a") as workers:
        workers.write(f"{os.getpid()}\n")
    rows = []
    for article in range(articles):
        time.sleep(2 / articles)
        rows.append((article, f"Article {article}", ctx.metadata.task_id))
    with (FOLDER / "catalogue.part").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (FOLDER / "catalogue.part").rename(FOLDER / "catalogue.csv")


def save(name: str, text: str) -> None:
    """Writes a file as a whole or not at all."""
    part = FOLDER / f".{name}.{os.getpid()}"
    part.write_text(text)
    part.rename(FOLDER / name)
