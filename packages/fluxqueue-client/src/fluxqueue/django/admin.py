"""A page of the admin, to read: the queues with their lengths, and a task by its id."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import path

from fluxqueue.errors import FluxQueueError

from .backend import FluxQueueBackend
from .framework import TaskResultDoesNotExist, task_backends
from .models import Queue

# The lengths of a queue that the page shows, each with its heading.
COLUMNS = {
    "pending": "Waiting",
    "delayed": "Delayed",
    "claimed": "Running",
    "suspects": "Suspects",
    "dead": "Dead",
}


@admin.register(Queue)
class QueueAdmin(admin.ModelAdmin):
    """Shows queues and tasks to users with the permission `fluxqueue.view_queue`; it changes
    nothing."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Redis has the queues."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The dashboard changes them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The dashboard changes them."""
        return False

    def get_urls(self) -> list[Any]:
        """The one page. There is no table for the others."""
        return [
            path(
                "",
                self.admin_site.admin_view(self.changelist_view),
                name="fluxqueue_queue_changelist",
            )
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Returns the page. `?task=<id>` also shows that task."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        task_id = request.GET.get("task", "").strip()
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "title": "Queues",
            "opts": self.model._meta,
            "headings": list(COLUMNS.values()),
            "backends": [_shown(each) for each in _backends()],
            "task_id": task_id,
            **(_found(task_id) if task_id else {}),
        }
        return TemplateResponse(request, "fluxqueue/queues.html", context)


def _backends() -> list[FluxQueueBackend]:
    found = (task_backends[alias] for alias in task_backends.settings)
    return [backend for backend in found if isinstance(backend, FluxQueueBackend)]


def _shown(backend: FluxQueueBackend) -> dict[str, Any]:
    """The part of the page about a backend; the error if its Redis is unreachable or its settings
    are wrong."""
    shown: dict[str, Any] = {"alias": backend.alias}
    try:
        shown["redis"] = backend.shared.client.settings.display_url
        shown["dashboard_url"] = backend.configuration.dashboard_url
        lengths = backend.shared.records.lengths(sorted(backend.queues))
    except (FluxQueueError, ImproperlyConfigured) as error:
        return {**shown, "error": str(error)}
    rows = []
    for name, row in sorted(lengths.items()):
        rows.append((name, [getattr(row, column) for column in COLUMNS]))
    return {**shown, "rows": rows}


def _found(task_id: str) -> dict[str, Any]:
    """The result of a task, of the first backend that knows it, and the aliases of those before it
    that can't say."""
    silent = []
    for backend in _backends():
        try:
            return {"found": backend.get_result(task_id)}
        except (TaskResultDoesNotExist, NotImplementedError):
            continue
        except (FluxQueueError, ImproperlyConfigured):
            silent.append(backend.alias)
    return {"found": None, "silent": silent}
