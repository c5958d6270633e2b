"""FluxQueue, a task queue for Python on Redis: the client.

from fluxqueue import FluxQueue

fluxqueue = FluxQueue()

@fluxqueue.task()
def send_email(to: str, subject: str, body: str) -> None: ...

send_email("user@example.com", "Welcome", "Hello!")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fluxqueue_core import __version__

from .errors import *  # noqa: F403

# ruff: noqa: F405  # the names come from `.errors`
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
    from .client import FluxQueue as FluxQueue
    from .context import Context as Context
    from .context import TaskMetadata as TaskMetadata
    from .dependencies import Depends as Depends
    from .dependencies import Shared as Shared
    from .failure import Failure as Failure
    from .gathering import gather_results as gather_results
    from .gathering import gather_results_sync as gather_results_sync
    from .handle import TaskHandle as TaskHandle
    from .limits import Limit as Limit
    from .middleware import Middleware as Middleware
    from .progress import Progress as Progress
    from .retry_errors import Reject as Reject
    from .retry_errors import Retry as Retry
    from .retry_errors import Snooze as Snooze
    from .retry_policy import RetryPolicy as RetryPolicy
    from .task import AsyncTask as AsyncTask
    from .task import Task as Task
    from .task_call import TaskCall as TaskCall
    from .with_options import AsyncTaskWithOptions as AsyncTaskWithOptions
    from .with_options import TaskWithOptions as TaskWithOptions
else:
    # The module of each name.
    _HOMES = {
        "AsyncTask": "task",
        "AsyncTaskWithOptions": "with_options",
        "Context": "context",
        "Depends": "dependencies",
        "Failure": "failure",
        "FluxQueue": "client",
        "Limit": "limits",
        "Middleware": "middleware",
        "Progress": "progress",
        "Reject": "retry_errors",
        "Retry": "retry_errors",
        "RetryPolicy": "retry_policy",
        "Shared": "dependencies",
        "Snooze": "retry_errors",
        "Task": "task",
        "TaskCall": "task_call",
        "TaskHandle": "handle",
        "TaskMetadata": "context",
        "TaskWithOptions": "with_options",
        "gather_results": "gathering",
        "gather_results_sync": "gathering",
    }

    def __getattr__(name: str) -> Any:
        """Loads the module of a public name when the name is used first.

        Why: docs/decisions/0197-a-command-does-not-load-the-client.md
        and docs/decisions/0285-an-import-loads-what-plain-tasks-need.md
        """
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        return found


def __dir__() -> list[str]:
    """Lists the public names, loaded or not."""
    return sorted({*globals(), *__all__})
