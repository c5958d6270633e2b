"""The Redis of the objects that the tasks' modules do not have by name: those of modules
that they import, at the start or in a task, and those that a task makes.

Why: docs/decisions/0119-objects-made-later-use-the-workers-redis.md
"""

from __future__ import annotations

from typing import Any

from fluxqueue.broker import Broker, adopt_all
from fluxqueue_core import Settings
from fluxqueue_core.service.log import Logger

from .application import Application
from .one_redis import RedisIdentity, redis_identity


class _Rule:
    """Decides for each object. Any thread may make one."""

    def __init__(self, application: Application, logger: Logger) -> None:
        self._url = application.options.redis_url or application.url_in_code
        self._settings = application.settings
        self._own = redis_identity(application.settings)
        self._replaced = application.replaced_redis
        self._replaced_namespace = application.replaced_namespace
        self._logger = logger
        # Each line is for one Redis; the worker has named some namespaces already.
        others = (application.settings.namespace, *application.other_namespaces)
        self._told: set[tuple[str, RedisIdentity, str]] = {
            ("worker.object_elsewhere", self._own, namespace) for namespace in others
        }
        # At the start all processes of a worker have the same objects.
        self.speaks = application.is_first

    def adopt(self, broker: Broker) -> None:
        """Moves the object if it names no Redis, or one that the worker's replaces."""
        if broker.settings.namespace == self._replaced_namespace:
            broker.move(namespace=self._settings.namespace)
        found = redis_identity(broker.settings)
        if found in self._replaced:
            broker.move(self._url)
        elif broker.url is None and self._url is not None and found != self._own:
            self._tell(
                "worker.redis_replaced",
                broker.settings,
                redis=self._settings.display_url,
                in_code=[broker.settings.display_url],
                remedy="an object without a URL uses the worker's Redis here, and in other programs"
                " FLUXQUEUE_REDIS_URL or the default; set the variable everywhere",
            )
            broker.move(self._url)
        self._tell(
            "worker.object_elsewhere",
            broker.settings,
            redis=broker.settings.display_url,
            namespace=broker.settings.namespace,
            remedy="calls of this object do not reach this worker; if they should, leave its URL"
            " out and give it the worker's namespace",
        )

    def _tell(self, event: str, settings: Settings, **details: Any) -> None:
        key = event, redis_identity(settings), settings.namespace
        if key not in self._told:
            self._told.add(key)
            if self.speaks:
                self._logger.info(event, **details)


def adopt(application: Application, logger: Logger) -> None:
    """Moves the objects of this process to the worker's Redis, now and when they are made."""
    rule = _Rule(application, logger)
    adopt_all(rule.adopt)
    rule.speaks = True
