"""Loads the application: its modules, and with them the tasks, the queues to serve and
the Redis to use."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from fluxqueue_core import Settings
from fluxqueue_core.service.log import Logger

from . import one_redis, task_loader
from .options import ALL_QUEUES, DEFAULT_QUEUES, Options
from .registered_task import Tasks


@dataclass(frozen=True)
class Application:
    """The application of a worker, ready to run.

    Attributes:
        options: with the names of the queues in place of `*`.
        url_in_code: the URL that the code names for these queues, with its password; None
            if it names none, or if the options name one.
        settings: the Redis of the worker and of the objects whose queues it serves.
        tasks: per served queue, by name.
        not_served: the queues that the modules declare and that this worker does not
            serve, sorted.
        replaced: the URLs in the code, for people, that the worker's URL replaces.
    """

    options: Options
    url_in_code: str | None
    settings: Settings
    tasks: Tasks
    not_served: list[str]
    replaced: list[str]

    def warn(self, logger: Logger) -> None:
        """Logs what a user may not expect. One process of a worker does so."""
        position = self.options.process_position
        if self.options.parent is not None or (position is not None and position.index > 0):
            return
        if self.replaced:
            logger.warning(
                "worker.redis_replaced",
                redis=self.settings.display_url,
                in_code=self.replaced,
                remedy="-r or FLUXQUEUE_REDIS_URL names the worker's Redis, and its tasks use it"
                " too; other programs still send tasks to the URL in the code",
            )
        if self.not_served:
            # A caller who names queues leaves the others out knowingly.
            by_default = self.options.queues is DEFAULT_QUEUES
            log = logger.warning if by_default else logger.info
            log(
                "worker.queues_not_served",
                queues=self.not_served,
                remedy="their tasks wait for another worker; to serve them here too, name them"
                f" with -q, or all with -q '{ALL_QUEUES}'",
            )


def load(options: Options) -> Application:
    """Imports the modules and puts the application together.

    Raises:
        TasksError: there is no such module or object, a queue has no task, or the objects
            disagree about the Redis of the queues.
        Exception: whatever the application's modules raise.
    """
    if options.redis_url is not None:
        # For the objects that name no URL, wherever they are, and for child processes.
        os.environ["FLUXQUEUE_REDIS_URL"] = options.redis_url
    found = task_loader.find(options.tasks_modules)
    declared = sorted({task.queue for task in found.tasks})
    queues = task_loader.chosen(options.queues, declared)
    url: str | None = None
    replaced: list[str] = []
    if options.redis_url is None:
        url = one_redis.url_of_objects(found.tasks, queues)
        settings = Settings(url, namespace=options.namespace)
    else:
        settings = Settings(options.redis_url, namespace=options.namespace)
        serving = [task.broker for task in found.tasks if task.queue in queues]
        replaced = one_redis.move(found.brokers, serving, options.redis_url)
    return Application(
        options=options if queues == options.queues else replace(options, queues=queues),
        url_in_code=url,
        settings=settings,
        tasks=task_loader.served(found.tasks, queues, ", ".join(options.tasks_modules)),
        not_served=sorted(set(declared) - set(queues)),
        replaced=replaced,
    )
