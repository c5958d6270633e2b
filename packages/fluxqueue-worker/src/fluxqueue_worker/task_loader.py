"""Finds the application's modules and the tasks that they declare.

A wrong path is a `TasksError` of one line. An error inside the application's own
modules passes through with its traceback.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from fluxqueue import FluxQueue
from fluxqueue.broker import Broker
from fluxqueue.limit_checks import limit_of
from fluxqueue.task import AnyTask, AsyncTask, Task

from .options import ALL_QUEUES
from .registered_task import RegisteredTask, Tasks

if TYPE_CHECKING:
    from .limit_declarations import QueueLimit
    from .shared_values import SharedValues

T = TypeVar("T")


class TasksError(Exception):
    """No tasks were found; the text is one line for the user."""


@dataclass(frozen=True)
class Found:
    """The declarations of the modules, each once.

    Attributes:
        brokers: of the tasks, and of the FluxQueue objects without a task.
    """

    tasks: list[AnyTask]
    brokers: list[Broker]


def find(paths: Sequence[str]) -> Found:
    """Imports the modules at `paths`; returns all that they declare, in one registry.

    Args:
        paths: each is "myapp.tasks", "myapp/tasks", "myapp/tasks.py" or
            "myapp.tasks:fluxqueue".

    Raises:
        TasksError: no such module or object, or a module ends the process.
        Exception: whatever the application's modules raise.
    """
    objects: list[object] = []
    for path in paths:
        place, _, attribute = path.partition(":")
        try:
            module = import_tasks_module(module_name(place))
        except SystemExit as error:
            # A script that was given as a module. Other codes say that it failed.
            if error.code in (None, 0):
                raise TasksError(
                    f"importing {path!r} calls sys.exit(); put that under __main__"
                ) from None
            raise
        objects += [find_object(module, attribute)] if attribute else vars(module).values()
    tasks = tasks_of(objects)
    brokers = [task.broker for task in tasks]
    brokers += [each.broker for each in objects if _is_a(each, FluxQueue)]
    return Found(tasks, list({id(broker): broker for broker in brokers}.values()))


def chosen(queues: Sequence[str], declared: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the queues to serve, in order of priority. `*` stands for the
    declared ones that are not named."""
    others = [queue for queue in declared if queue not in queues]
    names: list[str] = []
    for queue in queues:
        names += others if queue == ALL_QUEUES else [queue]
    return tuple(names)


def module_name(place: str) -> str:
    """The dotted name of a module, given as a name or a path.

    Raises:
        TasksError: no module can have this name.
    """
    name = place
    if os.sep in place or place.endswith(".py"):
        relative = os.path.relpath(place, os.getcwd())
        if relative.startswith(os.pardir):
            raise TasksError(
                f"{place!r} is not below the working directory; start the worker in the"
                " folder that your imports begin at"
            )
        name = relative.removesuffix(".py").replace(os.sep, ".").removesuffix(".__init__")
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise TasksError(
            f"{place!r} is not the name of a module; give one like myapp.tasks or myapp/tasks.py"
        )
    return name


def import_tasks_module(name: str) -> ModuleType:
    """Imports the module package by package. This tells a module that does not
    exist from one that imports something missing.

    Raises:
        TasksError: the module does not exist.
        Exception: whatever the imported modules raise.
    """
    parts = name.split(".")
    module: ModuleType | None = None
    for end in range(1, len(parts) + 1):
        prefix = ".".join(parts[:end])
        if module is not None and not hasattr(module, "__path__"):
            raise TasksError(
                f"there is no module {name!r}: {module.__name__!r} is a module, not a package"
            )
        if prefix not in sys.modules and importlib.util.find_spec(prefix) is None:
            raise TasksError(
                f"there is no module {prefix!r} (looked in {os.getcwd()} and on the Python path)"
            )
        module = importlib.import_module(prefix)
    assert module is not None
    return module


def find_object(module: ModuleType, attribute: str) -> FluxQueue | AnyTask:
    """The FluxQueue or task object with that name in the module.

    Raises:
        TasksError: the module has no such object.
    """
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, FluxQueue | Task | AsyncTask):
        return found
    names = [name for name, value in vars(module).items() if _is_a(value, FluxQueue)]
    have = f"it has {', '.join(names)}" if names else "it has none"
    raise TasksError(f"module {module.__name__!r} has no FluxQueue object {attribute!r}; {have}")


def tasks_of(objects: Iterable[object]) -> list[AnyTask]:
    """Every task among the objects and of the FluxQueue objects among them. Not the tasks that
    `FluxQueue.declare` has declared without their code: to run one would lose it."""
    found: dict[int, AnyTask] = {}
    for value in objects:
        if _is_a(value, FluxQueue):
            found.update((id(task), task) for task in value.tasks.values())
        elif _is_a(value, Task) or _is_a(value, AsyncTask):
            found[id(value)] = value
    return [task for task in found.values() if task.has_code]


def _is_a(value: object, kind: type[T]) -> TypeGuard[T]:
    """Like isinstance, but does not ask the value, which may be any object of the module: the
    `__class__` of a lazy proxy (Django's settings, a mock) runs code, which may raise."""
    return issubclass(type(value), kind)


def served(tasks: Iterable[AnyTask], queues: Sequence[str], path: str) -> Tasks:
    """The tasks per served queue. A queue also serves a task that only another
    queue declares, because a producer may send it here by its name.

    Args:
        path: names the modules in an error.

    Raises:
        TasksError: a queue declares no task, or two with the same name.
    """
    by_queue: dict[str, dict[str, AnyTask]] = {}
    by_name: dict[str, list[AnyTask]] = {}
    for task in tasks:
        mine = by_queue.setdefault(task.queue, {})
        if task.task_name in mine:
            both = f"{_qualified_name(mine[task.task_name])} and {_qualified_name(task)}"
            raise TasksError(
                f"two tasks of queue {task.queue!r} are named {task.task_name!r}: {both};"
                " give one of them another name"
            )
        mine[task.task_name] = task
        by_name.setdefault(task.task_name, []).append(task)
    if not queues:
        raise TasksError(f"{path!r}: {_summary(by_queue)}")
    for queue in queues:
        if queue not in by_queue:
            raise TasksError(
                f"{path!r} has no task for queue {queue!r}; {_summary(by_queue)}{_remedy(by_queue)}"
            )
    found = [task for same in by_name.values() for task in same]
    serving = [task for queue in queues for task in by_queue[queue].values()]
    providers = {id(task.providers): task.providers for task in serving}.values()
    lifespans = [each for one in providers for each in one.of_lifespans()]
    shared: SharedValues | None = None
    if lifespans or any(task.dependencies is not None for task in found):
        from .shared_values import SharedValues  # most workers share nothing

        shared = SharedValues()
    records = {id(task): RegisteredTask(task, shared) for task in found}
    return Tasks(
        declared={
            queue: {name: records[id(task)] for name, task in by_queue[queue].items()}
            for queue in queues
        },
        anywhere={name: records[id(same[0])] for name, same in by_name.items() if len(same) == 1},
        periodic=[
            periodic for task in found for periodic in task.periodic if periodic.queue in queues
        ],
        limits=_limits(serving),
        lifespans=lifespans,
        shared=shared,
    )


def _limits(served: Iterable[AnyTask]) -> list[QueueLimit]:
    """The limits of tasks, each once per broker and queue."""
    limited = [task for task in served if task.terms.is_limited]
    if not limited:
        return []
    # Imported here: most workers have no limited tasks.
    from .limit_declarations import QueueLimit

    found = {}
    for task in limited:
        limit = limit_of(task.terms, task.task_name)
        assert limit is not None
        found[id(task.broker), task.queue, limit] = QueueLimit(task.broker, task.queue, limit)
    return list(found.values())


def largest_message(tasks: Tasks, least: int) -> int:
    """The highest message limit that an application sets in code for one of the
    tasks, but at least `least`, the worker's own setting."""
    return max(least, *(task.max_message_bytes for task in tasks))


def _qualified_name(task: AnyTask) -> str:
    return f"{task.func.__module__}.{task.func.__qualname__}"


def _remedy(by_queue: Mapping[str, Mapping[str, AnyTask]]) -> str:
    """For a queue that is meant, and that only options of calls name."""
    if not by_queue:
        return ""
    return "; if calls choose that queue by options(queue=...), declare one of their tasks for it"


def _summary(by_queue: Mapping[str, Mapping[str, AnyTask]]) -> str:
    if not by_queue:
        return (
            "it has no tasks at all: are they decorated with @fluxqueue.task(), and is what has"
            " them imported there by name?"
        )
    parts = [f"{queue!r}: {', '.join(sorted(tasks))}" for queue, tasks in sorted(by_queue.items())]
    return f"it has tasks for {'; '.join(parts)}"
