"""The tasks of an order, one after the other:

    charge_card ──▶ pack_parcel ──▶ send_confirmation
              └───▶ credit_points, which always fails: its service is gone

A task may run twice, if its worker dies before it could report success. So a second
run of each does no harm.
"""

from __future__ import annotations

import asyncio
import random
import time

from fluxqueue import Context, FluxQueue

from .steps import async_step, step

fluxqueue = FluxQueue(None)  # FLUXQUEUE_REDIS_URL

CARDS = {
    "unreliable": "is refused now and then",
    "refused-once": "is refused at first",
    "good": "always works",
}
UNRELIABLE = 0.4
SECONDS_PER_PIECE = 1.0


class CardRefused(Exception):
    """The payment provider says no, for now."""


class ServiceGone(Exception):
    """The address no longer answers."""


@fluxqueue.task_with_context(max_retries=6, retry_delay=1.0)
async def charge_card(ctx: Context, number: int, card: str, quantity: int) -> None:
    """Asks the payment provider, which refuses some cards for a while."""
    async with async_step(ctx, number, "charge"):
        await asyncio.sleep(0.2)
        refused = {
            "good": False,
            "refused-once": ctx.metadata.retries == 0,
            "unreliable": random.random() < UNRELIABLE,
        }
        if refused[card]:
            raise CardRefused(f"the card of order {number} was refused")
    # A plain call of a sync task would block the loop.
    await pack_parcel.enqueue_async(number, quantity)
    await credit_points(number)


@fluxqueue.task_with_context()
def pack_parcel(ctx: Context, number: int, quantity: int) -> None:
    """Slow: a second for each piece."""
    with step(ctx, number, "pack"):
        time.sleep(SECONDS_PER_PIECE * quantity)
    send_confirmation(number)


@fluxqueue.task_with_context()
def send_confirmation(ctx: Context, number: int) -> None:
    """Tells the customer that the parcel is on its way."""
    with step(ctx, number, "confirm"):
        time.sleep(0.1)


@fluxqueue.task_with_context(max_retries=2, retry_delay=0.5)
async def credit_points(ctx: Context, number: int) -> None:
    """Always fails, and ends in the dead set."""
    async with async_step(ctx, number, "points"):
        raise ServiceGone("points.example.com answers no more")
