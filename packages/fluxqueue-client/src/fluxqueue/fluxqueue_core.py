"""The level below `FluxQueue.task()`. Internal: it may change without notice."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any

from fluxqueue_core import Route

from .broker import NOT_GIVEN, Broker
from .enqueueing import Enqueueing
from .explained_calls import explained

__all__ = ["FluxQueueCore"]

_ANY_CALL = inspect.signature(lambda *args, **kwargs: None)


class FluxQueueCore:
    """Puts tasks into Redis by name; a worker may have any function under that name."""

    def __init__(self, redis_url: str | None = NOT_GIVEN) -> None:
        broker = Broker(redis_url)
        self._settings = broker.settings
        self._enqueueing = Enqueueing(broker.producer)

    def _route(self, name: str, queue_name: str, max_retries: int) -> Route:
        namespace = self._settings.namespace
        return Route(queue_name, name, namespace=namespace, max_retries=max_retries)

    def _enqueue(
        self, name: str, queue_name: str, max_retries: int, *args: Any, **kwargs: Any
    ) -> None:
        """Enqueues the task; raises as a call of a `Task` does."""
        route = self._route(name, queue_name, max_retries)
        try:
            self._enqueueing.way().enqueue(route, args, kwargs)
        except (TypeError, ValueError) as error:
            raise explained(error, route, _ANY_CALL, args, kwargs) from None

    def _enqueue_async(
        self, name: str, queue_name: str, max_retries: int, *args: Any, **kwargs: Any
    ) -> Awaitable[None]:
        """Enqueues the task on the running event loop; await the result."""
        route = self._route(name, queue_name, max_retries)
        try:
            return self._enqueueing.way().enqueue_async(route, args, kwargs)
        except (TypeError, ValueError) as error:
            raise explained(error, route, _ANY_CALL, args, kwargs) from None

    def __repr__(self) -> str:
        return f"FluxQueueCore({self._settings.display_url!r})"
