"""The application for INSTALLED_APPS: the command `fluxqueue_worker` and the page of the admin."""

from __future__ import annotations

from django.apps import AppConfig


class FluxQueueConfig(AppConfig):
    """`fluxqueue.django` in INSTALLED_APPS. Its label is `fluxqueue`."""

    name = "fluxqueue.django"
    label = "fluxqueue"
    verbose_name = "FluxQueue"
