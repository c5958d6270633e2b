"""The form, and the page of an order."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from .models import Order
from .tasks import charge


def shop(request: HttpRequest) -> HttpResponse:
    """Shows the form, and takes an order."""
    if request.method != "POST":
        return render(request, "shop.html", {"orders": Order.objects.order_by("-pk")[:10]})
    with transaction.atomic():
        order = Order.objects.create(email=request.POST["email"], amount=request.POST["amount"])
        # The worker gets it when the order is in the database.
        order.task_id = charge.enqueue(order.pk).id
        order.save()
    return redirect(f"/orders/{order.pk}")


def order(request: HttpRequest, number: int) -> HttpResponse:
    """Shows an order, with the state of its task."""
    found = get_object_or_404(Order, pk=number)
    result = charge.get_result(found.task_id)
    return render(request, "order.html", {"order": found, "result": result})
