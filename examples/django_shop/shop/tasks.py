"""The tasks that the shop leaves to the worker."""

from __future__ import annotations

import django
from django.core.mail import send_mail

from .models import Order

if django.VERSION >= (6, 0):
    from django.tasks import TaskContext, task
else:
    from django_tasks import TaskContext, task


@task(takes_context=True)
def charge(context: TaskContext, number: int) -> str:
    """Charges the card of an order. The bank refuses the first attempt."""
    if context.attempt == 1:
        raise ConnectionError("the bank does not answer")
    # A task may run twice: only the first run changes the order.
    if Order.objects.filter(pk=number, paid=False).update(paid=True):
        confirm.enqueue(number)
    return "paid"


@task(queue_name="mails", priority=50)
async def confirm(number: int) -> None:
    """Sends a mail."""
    order = await Order.objects.aget(pk=number)
    send_mail("Your order", f"{order.amount} EUR, paid.", "shop@example.com", [order.email])
