"""A model without a table, for the page in the admin and its permission `fluxqueue.view_queue`."""

from __future__ import annotations

from django.db import models


class Queue(models.Model):
    """A queue. Redis has it, not the database."""

    name = models.CharField(primary_key=True, max_length=255)

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name_plural = "queues"
