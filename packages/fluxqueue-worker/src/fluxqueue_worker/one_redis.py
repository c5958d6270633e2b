"""One Redis for the worker and for the objects that it loads: a task that a task
enqueues must not end up in another Redis than the one that this worker serves.

Why: docs/decisions/0059-a-worker-and-its-objects-use-one-redis.md
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from fluxqueue import loopback
from fluxqueue.broker import Broker
from fluxqueue.task import AnyTask
from fluxqueue_core import Settings

from .task_loader import TasksError

# Kind, nodes or path, service, database.
RedisIdentity = tuple[str, frozenset[tuple[str, int]] | str, str | None, int]


def redis_identity(settings: Settings) -> RedisIdentity:
    """Returns which Redis the settings mean. The order of nodes, users, passwords and
    parameters make no difference, nor do the names of this machine."""
    nodes = frozenset((loopback.canonical(host), port) for host, port in settings.nodes)
    return settings.kind, nodes or _socket(settings), settings.service, settings.database


def _socket(settings: Settings) -> str:
    """Returns the path of a socket. `/var/run` often is a link to `/run`."""
    path, _, _ = settings.display_url.removeprefix("unix://").rpartition("?")
    return os.path.realpath(path)


def url_of_objects(tasks: Iterable[AnyTask], queues: Sequence[str]) -> str | None:
    """Returns the URL that the code names for the tasks of the served queues. None: it
    names none.

    Raises:
        TasksError: these tasks are sent to different Redis servers.
    """
    found: dict[RedisIdentity, dict[str, Broker]] = {}
    for task in tasks:
        if task.queue in queues:
            by_queue = found.setdefault(redis_identity(task.broker.settings), {})
            by_queue.setdefault(task.queue, task.broker)
    if len(found) > 1:
        parts = [
            f"{next(iter(by_queue.values())).settings.display_url} "
            f"(queue {', '.join(map(repr, sorted(by_queue)))})"
            for by_queue in found.values()
        ]
        raise TasksError(
            f"the code sends the tasks of this worker's queues to different places: "
            f"{'; '.join(parts)}. A worker serves one Redis: choose it with -r, or some of "
            f"the tasks with -q or -t module:object"
        )
    named = [broker.url for by_queue in found.values() for broker in by_queue.values()]
    return next((url for url in named if url is not None), None)


def replaced_redis(serving: Iterable[Broker], redis_url: str) -> frozenset[RedisIdentity]:
    """Returns where the code sends the tasks of the served queues, without the worker's Redis."""
    named = frozenset(redis_identity(broker.settings) for broker in serving)
    return named - {redis_identity(Settings(redis_url))}


def move(
    brokers: Iterable[Broker], replaced: frozenset[RedisIdentity], redis_url: str
) -> list[str]:
    """Moves objects to the worker's Redis: all that the code sends to the replaced ones.

    Args:
        brokers: of all loaded objects.

    Returns:
        The URLs, for people, that the worker's URL replaces. None of them is the
        worker's Redis.
    """
    shown: dict[str, None] = {}
    for broker in brokers:
        if redis_identity(broker.settings) in replaced:
            shown[broker.settings.display_url] = None
            broker.move(redis_url)
    return list(shown)
