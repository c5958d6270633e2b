"""The tasks of Django that this process knows, by the path of their function."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from django.apps import apps

from .framework import Task

_declared: dict[str, Task] = {}


def declare(task: Task) -> None:
    """Notes a task that a module has just made; the first one of a path is the one of the code."""
    _declared.setdefault(task.module_path, task)


def find(path: str) -> Task | None:
    """Returns the task as its module has it; None if there is none.

    Imports the module if it belongs to an installed application: a path may be from Redis.
    """
    module, _, name = path.rpartition(".")
    if module not in sys.modules and apps.get_containing_app_config(module) is not None:
        with suppress(Exception):  # of the application, which may raise anything
            import_module(module)
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, Task) else _declared.get(path)


def all_loaded() -> list[Task]:
    """Returns the tasks of all modules that are loaded now, each path once."""
    found = dict(_declared)
    for module in list(sys.modules.values()):
        for value in list(getattr(module, "__dict__", {}).values()):
            # Not by isinstance, which would ask lazy objects for their class.
            if issubclass(type(value), Task):
                found.setdefault(value.module_path, value)
    return list(found.values())


def rebuilt(path: str, **changes: Any) -> Task:
    """Returns the task of a path as it was when it was enqueued.

    It is not checked: the settings may have changed since then, such as the names of the queues.
    If the code has no such task any more, its function raises.

    Args:
        changes: the fields that were set by `using`.
    """
    task = find(path)
    if task is None:
        made: Any = object.__new__(Task)
        plain = {"func": _missing(path), "priority": 0, "backend": "default"}
        values = {**plain, "queue_name": "default", "run_after": None, "takes_context": False}
    else:
        made = object.__new__(type(task))
        values = {name: getattr(task, name) for name in type(task).__dataclass_fields__}
    for name, value in {**values, **changes}.items():
        object.__setattr__(made, name, value)
    return made


def _missing(path: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> NoReturn:
        raise LookupError(f"the code has no task {path!r} any more")

    module, _, name = path.rpartition(".")
    function.__module__, function.__name__, function.__qualname__ = module, name, name
    return function
