"""The only seam around an enqueue: the way from the call of a task to its producer.

Without middleware, the way consists of the producer's own methods. Telemetry is next to the
producer. It becomes active when the application sets up its OpenTelemetry SDK, which can
happen at any time. So each call tests `API in modules`. Only if that is true, it asks
`Enqueueing.way`. The application's middleware is around it, and known from the start.

Why: docs/decisions/0048-one-seam-for-enqueueing.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from fluxqueue_core import Producer, Route

from . import telemetry
from .enqueue_interface import AroundCalls, Bulk, Enqueue, EnqueueAsync, Middleware
from .telemetry import API, PROVIDER, modules


class Way:
    """Three functions: for a call, for an async call, and for the start of a bulk call."""

    __slots__ = ("bulk", "enqueue", "enqueue_async")

    def __init__(
        self,
        producer: Producer,
        middleware: Middleware | None = None,
        around: AroundCalls | None = None,
        options: Mapping[str, Any] = {},
    ) -> None:
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
        if around is not None:
            self.enqueue = around.enqueue(self.enqueue, options)
            self.enqueue_async = around.enqueue_async(self.enqueue_async, options)


class Enqueueing:
    """Finds the way for the calls of one task.

    Attributes:
        around: the application's middleware around the calls; None without one.
        plain: the way without telemetry.
    """

    __slots__ = ("_options", "_producer", "_provider", "_way", "around", "plain")

    def __init__(
        self,
        producer: Producer,
        around: AroundCalls | None = None,
        options: Mapping[str, Any] = {},
    ) -> None:
        self._producer = producer
        self._options = options
        self.around = around
        self.plain = self._way = Way(producer, None, around, options)
        # The provider of spans that `_way` uses.
        self._provider: object = None

    def of_calls(self, options: Mapping[str, Any]) -> Enqueueing:
        """Returns the one for calls with these options, which their middleware may see."""
        return self if self.around is None else Enqueueing(self._producer, self.around, options)

    def way(self) -> Way:
        """Returns the way through the middleware that is active now.

        Raises:
            ConfigurationError: a variable of the middleware is not valid.
        """
        provider = getattr(modules.get(API), PROVIDER, None)
        if provider is self._provider:
            return self._way
        middleware = telemetry.active()
        way = self.plain
        if middleware is not None:
            way = Way(self._producer, middleware, self.around, self._options)
        # This order matters: another thread may read both between these lines.
        self._way = way
        self._provider = provider
        return way
