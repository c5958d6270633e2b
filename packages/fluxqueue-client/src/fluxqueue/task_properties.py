"""The properties of a task, and all that its calls with options need of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from fluxqueue_core import Producer, Route

from .enqueueing import Enqueueing
from .options import Terms
from .return_value import ReturnValue

if TYPE_CHECKING:
    from .broker import Broker
    from .converters import Converter

P = ParamSpec("P")
R = TypeVar("R")


class TaskProperties(Generic[P, R]):
    """The part of a task that says how it runs, and where its calls go."""

    __slots__ = ()

    broker: Broker
    terms: Terms
    _check: Callable[..., None]
    _enqueueing: Enqueueing
    _producer: Producer
    _queue: str
    _route: Route
    _routes: dict[Any, Route]
    _views: dict[Any, Any]
    __signature__: inspect.Signature
    returned: ReturnValue

    def _prepared(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments of a call with options as the core takes them, checked."""
        self._check(*args, **kwargs)
        return args, kwargs

    def _prepared_calls(self, calls: Iterable[Any]) -> Iterable[Any]:
        return calls

    def _converter(self, parameter: str) -> Converter | None:
        """Returns what converts the values of a parameter; None if they are JSON already."""
        return None

    @property
    def task_name(self) -> str:
        """The name under which workers know the task."""
        return self._route.name

    @property
    def queue(self) -> str:
        """The queue for its tasks."""
        return self._queue

    @property
    def max_retries(self) -> int:
        """How many times a failed task runs again before it is dead."""
        return self.terms.max_retries

    @property
    def retry_delay(self) -> float:
        """Seconds before the first retry."""
        return self.terms.retry_delay

    @property
    def retry_backoff(self) -> float:
        """The factor from one delay to the next."""
        return self.terms.retry_backoff

    @property
    def retry_max_delay(self) -> float:
        """The longest delay, in seconds."""
        return self.terms.retry_max_delay

    @property
    def timeout(self) -> float | None:
        """Seconds that one attempt may take; None means no limit."""
        return self.terms.timeout

    @property
    def max_message_bytes(self) -> int:
        """The limit for a call's message, in bytes; its `FluxQueue` sets it."""
        return self._producer.max_message_bytes

    if TYPE_CHECKING:  # set by functools.update_wrapper
        __name__: str
        __qualname__: str
        __wrapped__: Callable[..., Any]
