"""FluxQueue, a task queue for Python on Redis: the client.

from fluxqueue import FluxQueue

fluxqueue = FluxQueue()

@fluxqueue.task()
def send_email(to: str, subject: str, body: str) -> None: ...

send_email("user@example.com", "Welcome", "Hello!")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxqueue_core import __version__

from .errors import *  # noqa: F403

# ruff: noqa: F405  # the names come from `.errors` and `.exports`
__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "AsyncTask",
    "AsyncTaskWithOptions",
    "BrokerError",
    "BrokerUnavailable",
    "CancelRequested",
    "ConfigurationError",
    "Context",
    "Depends",
    "DuplicateTask",
    "EnqueueUncertain",
    "Failure",
    "FluxQueue",
    "FluxQueueError",
    "FluxQueueWarning",
    "Limit",
    "MalformedMessage",
    "MessageTooLarge",
    "Middleware",
    "Progress",
    "Reject",
    "ResultDeadlock",
    "ResultError",
    "ResultNotKept",
    "ResultTimeout",
    "Retry",
    "RetryPolicy",
    "Shared",
    "Snooze",
    "Task",
    "TaskCall",
    "TaskCancelled",
    "TaskExpired",
    "TaskFailed",
    "TaskHandle",
    "TaskLost",
    "TaskMetadata",
    "TaskTimeout",
    "TaskWithOptions",
    "__version__",
    "gather_results",
    "gather_results_sync",
]


# With `__getattr__`, a type checker would take any name.
if TYPE_CHECKING:
    from .exports import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """Loads all public names when one is used first: `fluxqueue queues` needs none of them.

        Why: docs/decisions/0197-a-command-does-not-load-the-client.md
        """
        # A module of this package is loaded by its own import, not by all of them.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import exports

        known = globals()
        known.update({each: getattr(exports, each) for each in __all__ if each not in known})
        return known[name]


def __dir__() -> list[str]:
    """Lists the public names, loaded or not."""
    return sorted({*globals(), *__all__})
