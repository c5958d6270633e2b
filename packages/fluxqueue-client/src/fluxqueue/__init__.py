"""FluxQueue, a task queue for Python on Redis: the client.

from fluxqueue import FluxQueue

fluxqueue = FluxQueue()

@fluxqueue.task()
def send_email(to: str, subject: str, body: str) -> None: ...

send_email("user@example.com", "Welcome", "Hello!")
"""

from __future__ import annotations

from fluxqueue_core import __version__

from .client import FluxQueue
from .context import Context, TaskMetadata
from .errors import *  # noqa: F403
from .failure import Failure
from .gathering import gather_results, gather_results_sync
from .handle import TaskHandle
from .limits import Limit
from .progress import Progress
from .retry_errors import Reject, Retry, Snooze
from .retry_policy import RetryPolicy
from .task import AsyncTask, Task
from .task_call import TaskCall
from .with_options import AsyncTaskWithOptions, TaskWithOptions

# ruff: noqa: F405  # the errors come from `.errors`
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
    "DuplicateTask",
    "EnqueueUncertain",
    "Failure",
    "FluxQueue",
    "FluxQueueError",
    "FluxQueueWarning",
    "Limit",
    "MalformedMessage",
    "MessageTooLarge",
    "Progress",
    "Reject",
    "ResultDeadlock",
    "ResultError",
    "ResultNotKept",
    "ResultTimeout",
    "Retry",
    "RetryPolicy",
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
