"""Calls from greenlets, in a process whose sockets gevent has patched.

gevent can't patch the sockets of the core: a call that waits for Redis would stop all
greenlets of its thread. Such calls run in gevent's pool of real threads instead, while the
other greenlets go on. The pool has ten threads, so what may take minutes does not run
there: a greenlet that waits for a result waits for a descriptor.

Why: docs/decisions/0122-a-greenlet-waits-for-a-descriptor.md
and docs/decisions/0241-an-object-follows-a-late-patch.md
"""

from __future__ import annotations

import contextvars
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from fluxqueue_core import Producer, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fluxqueue_core import Route

P = ParamSpec("P")
R = TypeVar("R")

_change: Callable[[], None] | None = None


def producer(settings: Settings) -> Producer:
    """Returns a producer for this process, as it is patched now; see `when_patched`."""
    return GreenletProducer(settings) if are_used() else Producer(settings)


def when_patched(change: Callable[[], None]) -> None:
    """Calls `change` if gevent, which is loaded, patches the sockets later: gunicorn loads it, then
    with --preload the application, and each of its processes patches after the fork.

    If gevent is loaded later, nothing is noticed: it asks to patch before all else.
    """
    global _change
    if "gevent" in sys.modules and not are_used():
        from gevent.events import subscribers

        _change = change
        if _patched not in subscribers:
            subscribers.append(_patched)


def _patched(event: object) -> None:
    """Gets the events of gevent, and those of others that use the same list."""
    global _change
    from gevent.events import GeventDidPatchEvent

    if _change is not None and isinstance(event, GeventDidPatchEvent) and are_used():
        change, _change = _change, None
        change()


def are_used() -> bool:
    """Whether gevent has patched the sockets of this process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


def wait_until_readable(fd: int, timeout: float) -> bool:
    """Waits up to `timeout` seconds while other greenlets run. Returns whether the descriptor
    is readable."""
    from gevent import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(math.ceil(timeout * 1000)))


class GreenletProducer(Producer):
    """A producer whose blocking calls let other greenlets run."""

    def enqueue(self, *args: Any, **kwargs: Any) -> str | None:
        return _in_real_thread(super().enqueue, *args, **kwargs)

    def enqueue_many(self, route: Route, calls: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        # The application's iterator stays in its greenlet.
        return _in_real_thread(super().enqueue_many, route, list(calls), *args, **kwargs)

    def cancel(self, queue: str, task_id: str) -> str:
        return _in_real_thread(super().cancel, queue, task_id)

    def schedule(self, queue: str, arguments: Sequence[bytes]) -> list[str]:
        return _in_real_thread(super().schedule, queue, arguments)


def _in_real_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Returns what the function returns in a thread of the pool, or raises what it raises."""
    from gevent import get_hub

    def run() -> tuple[R, None] | tuple[None, BaseException]:
        # gevent prints the traceback of what a thread of its pool raises.
        try:
            return function(*args, **kwargs), None
        except BaseException as error:  # noqa: BLE001 - raised below, in the greenlet
            return None, error

    result, error = get_hub().threadpool.apply(contextvars.copy_context().run, (run,))
    if error is not None:
        raise error
    return cast("R", result)
