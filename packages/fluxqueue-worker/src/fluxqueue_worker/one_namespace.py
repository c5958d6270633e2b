"""One namespace for the worker and for the objects that it loads, as `one_redis` finds one
Redis.

Why: docs/decisions/0078-a-worker-serves-the-namespace-of-its-objects.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fluxqueue.broker import Broker
from fluxqueue.task import AnyTask

from .task_loader import TasksError


def own_tasks(tasks: Sequence[AnyTask], namespace: str | None) -> Sequence[AnyTask]:
    """Returns the tasks of the application that a worker serves, by the namespace that its
    options name. If the code puts some tasks into it, they are the only ones: the others are
    declared in order to send them to another application."""
    own = [task for task in tasks if _namespace_of(task) == namespace]
    return own or tasks


def namespace_of_objects(serving: Iterable[AnyTask]) -> str | None:
    """Returns the namespace in which the code puts the tasks of the served queues. None:
    there are no such tasks.

    Raises:
        TasksError: these tasks are in several namespaces.
    """
    found: dict[str, set[str]] = {}
    for task in serving:
        found.setdefault(_namespace_of(task), set()).add(task.queue)
    if len(found) > 1:
        parts = [
            f"{shown(namespace)} (queue {', '.join(map(repr, sorted(queues)))})"
            for namespace, queues in sorted(found.items())
        ]
        raise TasksError(
            f"the code puts the tasks of this worker's queues into several namespaces: "
            f"{'; '.join(parts)}. A worker serves one: choose one of these with --namespace, or "
            f"some of the tasks with -q or -t module:object"
        )
    return next(iter(found), None)


def move(brokers: Iterable[Broker], in_code: str, namespace: str) -> None:
    """Moves the objects that the code puts into the namespace `in_code`."""
    for broker in brokers:
        if broker.settings.namespace == in_code:
            broker.move(namespace=namespace)


def left_out(tasks: Iterable[AnyTask], own: Iterable[AnyTask]) -> list[str]:
    """Returns the namespaces of the tasks that are not among the own ones, sorted."""
    others = {_namespace_of(task) for task in tasks}
    return sorted(others - {_namespace_of(task) for task in own})


def shown(namespace: str) -> str:
    """Returns the namespace as a text for people."""
    return repr(namespace) if namespace else "the default one"


def _namespace_of(task: AnyTask) -> str:
    return task.broker.settings.namespace
