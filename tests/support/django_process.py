"""Django in the process of the tests, and workers of the project `support.django_site`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .logging_process import LoggingProcess

if os.environ.get("CI") != "true":
    pytest.importorskip("django")
    if pytest.importorskip("django").VERSION < (6, 0):
        pytest.importorskip("django_tasks")
import django

TESTS = Path(__file__).parents[1]
NOTES = "notes"

# Django never closes a database in memory.
_DATABASES = tempfile.TemporaryDirectory(prefix="django-site-")
os.environ["DJANGO_SETTINGS_MODULE"] = "support.django_site.settings"
os.environ["DJANGO_SITE_FOLDER"] = _DATABASES.name
django.setup()
# The processes of other tests have other settings, or none.
del os.environ["DJANGO_SETTINGS_MODULE"], os.environ["DJANGO_SITE_FOLDER"]


def variables(folder: Path, **others: str) -> dict[str, str]:
    """The environment of a process of the project."""
    return {
        "PYTHONPATH": str(TESTS),
        "DJANGO_SETTINGS_MODULE": "support.django_site.settings",
        "DJANGO_SITE_FOLDER": str(folder),
        "NOTES": str(folder / NOTES),
        **others,
    }


class DjangoWorker(LoggingProcess):
    """`manage.py fluxqueue_worker` of the project."""

    def __init__(self, folder: Path, redis_url: str, **options: object) -> None:
        module = "support.django_site.command"
        super().__init__(folder, redis_url, module, options, variables(folder))

    def notes(self, containing: str = "") -> list[str]:
        """The lines that its tasks and receivers have written, with this text."""
        file = self.folder / NOTES
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if containing in line]


@contextmanager
def tasks_in(redis_url: str, queues: Any = None, **options: Any) -> Iterator[Any]:
    """Lets the tasks of this process go to a Redis; gives the backend.

    Args:
        options: OPTIONS of the backend, in upper case.
    """
    from django.db import connections
    from django.test import override_settings
    from fluxqueue.django.framework import task_backends

    from .django_site import settings

    one = {
        "BACKEND": settings.BACKEND,
        "QUEUES": settings.QUEUES if queues is None else queues,
        "OPTIONS": {"REDIS_URL": redis_url, "TASK_OPTIONS": settings.TASK_OPTIONS, **options},
    }
    try:
        with override_settings(TASKS={"default": one}):
            yield task_backends["default"]
    finally:
        connections.close_all()
