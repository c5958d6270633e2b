"""An order, with the task that charges its card."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """An order of a customer."""

    email = models.EmailField()
    amount = models.PositiveIntegerField()
    paid = models.BooleanField(default=False)
    task_id = models.CharField(max_length=36, blank=True)
