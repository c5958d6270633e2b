"""The module that a worker of a Django project loads.

It sets Django up and imports the module `tasks` of each installed application. Its tasks are
those of Django in all loaded modules, and those of FluxQueue in these modules. `manage.py
fluxqueue_worker` passes `-t fluxqueue.django.worker_app` to the worker and its child processes.
"""

from __future__ import annotations

import os
import sys

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

from fluxqueue.client import FluxQueue


def _load() -> None:
    if not apps.ready:
        django.setup()
    autodiscover_modules("tasks")
    from fluxqueue_worker.error_text import own_frame  # this process is a worker

    from . import declared
    from .backend import WORKER_ALIAS, FluxQueueBackend
    from .definitions import is_wrapper
    from .framework import task_backends

    alias = os.environ.get(WORKER_ALIAS, "default")
    backend = task_backends[alias]
    if not isinstance(backend, FluxQueueBackend):
        raise ImproperlyConfigured(
            f"TASKS[{alias!r}] has the backend {type(backend).__name__}, not FluxQueueBackend; "
            f"name another with --backend"
        )
    definitions, tasks = backend.shared.definitions, declared.all_loaded()
    own = [task for task in tasks if not backend.queues or task.queue_name in backend.queues]
    for task in own:
        definitions.of(task)
    # A call may name a queue that no code names: its worker knows all tasks.
    for queue in backend.queues - {task.queue_name for task in own}:
        for task in tasks:
            definitions.of(task, queue)
    # Tracebacks begin in the application, below the function that calls it.
    for made in backend.shared.client.tasks.values():
        if is_wrapper(made.func):
            own_frame(made.func)
    # The worker takes the objects that this module has by name.
    found = {id(backend.shared.client): backend.shared.client}
    for config in apps.get_app_configs():
        module = sys.modules.get(f"{config.name}.tasks")
        for value in list(vars(module).values()) if module is not None else ():
            if issubclass(type(value), FluxQueue):
                found[id(value)] = value
    globals().update({f"client_{number}": each for number, each in enumerate(found.values())})


_load()
