"""The application of a worker: its tasks, the queues to serve, the Redis and the namespace to
use. The worker's process loads it from modules; an embedded worker has its objects."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fluxqueue.errors import ConfigurationError
from fluxqueue_core import Settings
from fluxqueue_core.service.log import Logger

from . import greenlets, one_namespace, one_redis, own_modules, task_loader
from .options import ALL_QUEUES, DEFAULT_QUEUES, Options
from .registered_task import Tasks


@dataclass(frozen=True)
class Application:
    """The application of a worker, ready to run.

    Attributes:
        options: with the names of the queues in place of `*`.
        url_in_code: the URL that the code names for these queues, with its password; None
            if it names none, or if the options name one.
        settings: the Redis and the namespace of the worker and of the objects whose queues
            it serves.
        tasks: per served queue, by name.
        not_served: the queues that the modules declare and that this worker does not
            serve, sorted.
        replaced: the URLs in the code, for people, that the worker's URL replaces.
        replaced_redis: what these URLs mean.
        replaced_namespace: the namespace in the code that the worker's replaces, or None.
        other_namespaces: those of tasks in the code that this worker does not serve.
    """

    options: Options
    url_in_code: str | None
    settings: Settings
    tasks: Tasks
    not_served: list[str]
    replaced: list[str]
    replaced_redis: frozenset[one_redis.RedisIdentity]
    replaced_namespace: str | None
    other_namespaces: list[str]

    @property
    def is_first(self) -> bool:
        """Whether no other process of this worker says what concerns all of them."""
        position = self.options.process_position
        return self.options.parent is None and (position is None or position.index == 0)

    def warn(self, logger: Logger) -> None:
        """Logs what a user may not expect. One process of a worker does so."""
        if not self.is_first:
            return
        if self.replaced:
            logger.warning(
                "worker.redis_replaced",
                redis=self.settings.display_url,
                in_code=self.replaced,
                remedy="-r or FLUXQUEUE_REDIS_URL names the worker's Redis, and its tasks use it"
                " too; other programs still send tasks to the URL in the code",
            )
        if self.replaced_namespace is not None:
            logger.warning(
                "worker.namespace_replaced",
                namespace=self.settings.namespace,
                in_code=self.replaced_namespace,
                remedy="--namespace or FLUXQUEUE_NAMESPACE names the worker's namespace, and its"
                " tasks use it too; other programs still use the namespace in the code",
            )
        if self.other_namespaces:
            logger.info(
                "worker.namespaces_not_served",
                namespaces=self.other_namespaces,
                remedy="the code also sends tasks to these; each needs its own worker",
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
        TasksError: there is no such module or object, a queue has no task, the modules
            replace threads, or the objects disagree about the Redis or the namespace of the
            queues.
        Exception: whatever the application's modules raise.
    """
    # For the objects that name none, wherever they are, and for child processes.
    if options.redis_url is not None:
        os.environ["FLUXQUEUE_REDIS_URL"] = options.redis_url
    if options.namespace is not None:
        os.environ["FLUXQUEUE_NAMESPACE"] = options.namespace
    found = task_loader.find(options.tasks_modules)
    greenlets.refuse_if_patched()
    tasks = one_namespace.own_tasks(found.tasks, options.namespace)
    other_namespaces = one_namespace.left_out(found.tasks, tasks)
    declared = sorted({task.queue for task in tasks})
    queues = task_loader.chosen(options.queues, declared)
    serving = [task for task in tasks if task.queue in queues]
    in_code = one_namespace.namespace_of_objects(serving)
    namespace = in_code if options.namespace is None else options.namespace
    replaced_namespace: str | None = None
    if in_code is not None and namespace is not None and in_code != namespace:
        replaced_namespace = in_code
        one_namespace.move(found.brokers, in_code, namespace)
    url: str | None = None
    replaced: list[str] = []
    identities: frozenset[one_redis.RedisIdentity] = frozenset()
    if options.redis_url is None:
        url = one_redis.url_of_objects(serving, queues)
        settings = Settings(url, namespace=namespace)
    else:
        settings = Settings(options.redis_url, namespace=namespace)
        brokers = [task.broker for task in serving]
        identities = one_redis.replaced_redis(brokers, options.redis_url)
        replaced = one_redis.move(found.brokers, identities, options.redis_url)
    try:
        served = task_loader.served(tasks, queues, ", ".join(options.tasks_modules))
    except task_loader.TasksError as error:
        if not other_namespaces:
            raise
        others = ", ".join(map(one_namespace.shown, other_namespaces))
        raise task_loader.TasksError(
            f"{error}; its tasks of other namespaces ({others}) are not for this worker"
        ) from None
    return Application(
        options=options if queues == options.queues else replace(options, queues=queues),
        url_in_code=url,
        settings=settings,
        tasks=served,
        not_served=sorted(set(declared) - set(queues)),
        replaced=replaced,
        replaced_redis=identities,
        replaced_namespace=replaced_namespace,
        other_namespaces=other_namespaces,
    )


def of_objects(objects: Sequence[object], options: Options) -> tuple[Options, Settings, Tasks]:
    """Returns what an embedded worker of these FluxQueue and task objects needs. The options are
    those that its child processes need.

    Raises:
        ConfigurationError: a queue has no task, or the objects disagree about the Redis or the
            namespace of the queues.
    """
    tasks = task_loader.tasks_of(objects)
    queues = task_loader.chosen(options.queues, sorted({task.queue for task in tasks}))
    serving = [task for task in tasks if task.queue in queues]
    try:
        one_namespace.namespace_of_objects(serving)
        one_redis.url_of_objects(serving, queues)
        served = task_loader.served(tasks, queues, "the embedded worker")
    except task_loader.TasksError as error:
        raise ConfigurationError(str(error)) from None
    settings = serving[0].broker.settings
    own = replace(
        options,
        queues=queues,
        redis_url=settings.url,
        namespace=settings.namespace,
        tasks_modules=own_modules.modules_of(tasks),
    )
    return own, settings, served
