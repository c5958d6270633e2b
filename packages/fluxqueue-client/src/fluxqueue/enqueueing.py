"""The one seam around an enqueue: the way that a task's calls take to its producer.

Without middleware the way is the producer's own methods. Telemetry is the only
middleware so far. It becomes active when the application sets its OpenTelemetry SDK up,
which can happen at any time. So each call tests `API in modules`, and only if that is
true asks `Enqueueing.way`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from fluxqueue_core import Producer, Route

from . import telemetry
from .middleware import Bulk, Enqueue, EnqueueAsync, Middleware
from .telemetry import API, PROVIDER, modules


class Way:
    """Three functions: for a call, for an async call, and to begin a bulk call."""

    __slots__ = ("bulk", "enqueue", "enqueue_async")

    def __init__(self, producer: Producer, middleware: Middleware | None = None) -> None:
        self.enqueue: Enqueue
        self.enqueue_async: EnqueueAsync
        self.bulk: Callable[[Route], Bulk]
        if middleware is None:
            self.enqueue = producer.enqueue
            self.enqueue_async = cast("EnqueueAsync", producer.enqueue_async)
            self.bulk = lambda route: Bulk()
        else:
            self.enqueue = middleware.around_enqueue(producer)
            self.enqueue_async = middleware.around_enqueue_async(producer)
            self.bulk = lambda route: middleware.bulk(producer, route)


class Enqueueing:
    """Finds the way for the calls of one task.

    Attributes:
        plain: the way without middleware.
    """

    __slots__ = ("_producer", "_provider", "_way", "plain")

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self.plain = self._way = Way(producer)
        # The provider of spans for which `_way` was made.
        self._provider: object = None

    def way(self) -> Way:
        """The way through the middleware that is active now.

        Raises:
            ConfigurationError: a variable of the middleware is not valid.
        """
        provider = getattr(modules.get(API), PROVIDER, None)
        if provider is self._provider:
            return self._way
        middleware = telemetry.active()
        way = self.plain if middleware is None else Way(self._producer, middleware)
        # In this order: another thread may read both in between.
        self._way = way
        self._provider = provider
        return way
