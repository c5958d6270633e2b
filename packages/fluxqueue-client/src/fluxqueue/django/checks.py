"""The system checks of a backend: `manage.py check` reports what these find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from fluxqueue_core import check_queue_name

from fluxqueue.errors import ConfigurationError
from fluxqueue.installing import how_to_install

from . import declared
from .configuration import Configuration
from .definitions import ALL


def check_backend(
    alias: str, queues: Iterable[str], read: Callable[[], Configuration]
) -> Iterator[checks.CheckMessage]:
    """Yields errors of the settings of a backend. Redis is not asked.

    Args:
        read: returns its configuration, or raises ImproperlyConfigured.
    """
    where = f"TASKS[{alias!r}]"
    for queue in sorted(queues):
        try:
            check_queue_name(queue)
        except (ConfigurationError, TypeError) as error:
            yield checks.Error(f"{where}: {error}", id="fluxqueue.E002")
    try:
        configuration = read()
    except ImproperlyConfigured as error:
        yield checks.Error(str(error), id="fluxqueue.E001")
        return
    database = configuration.enqueue_on_commit
    if database is not None and database not in settings.DATABASES:
        yield checks.Error(
            f"{where}: ENQUEUE_ON_COMMIT is {database!r}, and DATABASES has no such alias",
            hint=f"It has {', '.join(sorted(settings.DATABASES))}.",
            id="fluxqueue.E003",
        )
    for path in configuration.task_options:
        if path != ALL and declared.find(path) is None:
            yield checks.Error(
                f"{where}: TASK_OPTIONS names {path!r}, and there is no such task",
                hint="Write the module and the name of the function, such as 'shop.tasks.mail'.",
                id="fluxqueue.E004",
            )
    if configuration.result_ttl is not None and find_spec("fluxqueue_control") is None:
        yield checks.Error(
            f"{where}: results need fluxqueue-control, which is not installed",
            hint=f"{how_to_install('fluxqueue-control')}; or set RESULT_TTL to None.",
            id="fluxqueue.E006",
        )
    if "fluxqueue.django" not in settings.INSTALLED_APPS:
        yield checks.Warning(
            f"{where}: 'fluxqueue.django' is not in INSTALLED_APPS",
            hint="Add it: it brings the command fluxqueue_worker and the page of the admin.",
            id="fluxqueue.W005",
        )
