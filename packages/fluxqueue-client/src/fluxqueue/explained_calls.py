"""The texts of errors and warnings about the calls of a task."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from fluxqueue_core import Route

from . import blocking
from .awaited_call import AwaitedMethod

T = TypeVar("T")

# Of tasks that a test runs at their calls (`fluxqueue.testing`). They leave the call as they are.
errors_of_tasks: list[BaseException] = []


def raise_if_of_a_task(error: BaseException) -> None:
    """Raises the error of a call again if a task has raised it."""
    if any(error is each for each in errors_of_tasks):
        raise error


def where(route: Route) -> str:
    """Returns the name of a task in messages."""
    return f"task {route.name!r} (queue {route.queue!r})"


def explained(
    error: Exception, route: Route, signature: inspect.Signature, args: Any, kwargs: Any
) -> Exception:
    """Returns the error of a call with the name of the task and of the bad argument."""
    raise_if_of_a_task(error)
    from .arguments import explain  # not needed by calls that succeed

    return explain(error, where(route), signature, args, kwargs)


class ExplainedCalls:
    """Calls of one task, with or without options."""

    __slots__ = ()

    _route: Route

    if TYPE_CHECKING:
        __name__: str

    @property
    def _signature(self) -> inspect.Signature:
        """The parameters of a call."""
        raise NotImplementedError

    @property
    def _where(self) -> str:
        return where(self._route)

    def _explain(self, error: Exception, args: Any, kwargs: Any) -> Exception:
        return explained(error, self._route, self._signature, args, kwargs)

    def _warn_of_blocked_loop(self, method: str) -> None:
        blocking.warn_of_blocked_loop(self._where, f"{self.__name__}.{method}(...)")

    def _enqueued(self, result: T) -> Coroutine[Any, Any, T]:
        """Returns the coroutine of an async call that has enqueued its task from this thread."""
        from .enqueued_call import EnqueuedCall

        return EnqueuedCall(result, self._where, f"{self.__name__}.enqueue(...)")


def _sends_calls(method: str) -> AwaitedMethod:
    return AwaitedMethod(
        "none of its calls was sent",
        lambda task: str(task._where),
        f"{{}}.{method}_async",
        f"{{}}.{method}",
        cut_off="some of its calls may not have been sent",
    )


# These decorate the `async def` that sends many calls, and the one that returns their handles.
warns_if_not_awaited = _sends_calls("enqueue_many")
warns_if_each_not_awaited = _sends_calls("enqueue_each")
