"""The exceptions that FluxQueue raises. All but `TaskTimeout` and `CancelRequested` are a
`FluxQueueError`.

They are in the core because the Rust code raises them. Applications import them from
`fluxqueue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class FluxQueueError(Exception):
    """The base of every exception that FluxQueue raises on purpose.

    Attributes:
        enqueued: how many tasks of the failed call are in Redis nevertheless. A bulk
            call sends its tasks in chunks. 0 for the call of a single task.
    """

    enqueued: int = 0


class ConfigurationError(FluxQueueError, ValueError):
    """A URL, a setting, a queue name or a task name is not valid."""


class BrokerError(FluxQueueError):
    """Redis replied with an error. That command enqueued nothing."""


class BrokerUnavailable(BrokerError, ConnectionError):
    """Redis could not be reached in time. Nothing was sent."""


class EnqueueUncertain(FluxQueueError, ConnectionError):
    """The connection broke or timed out after the command was written.

    Redis may or may not have executed the command, so the task may or may not run.
    FluxQueue never sends it again: only the caller knows whether running the task twice
    does harm.
    """


class MessageTooLarge(FluxQueueError, ValueError):
    """The message is larger than `max_message_bytes`. Nothing was sent."""


class ArgumentTypeError(FluxQueueError, TypeError):
    """An argument is of a type that JSON can't carry. Nothing was sent."""


class ArgumentValueError(FluxQueueError, ValueError):
    """JSON can't carry the value of an argument (NaN, 2**64). Nothing was sent."""


class DuplicateTask(FluxQueueError):
    """A unique task was not enqueued, because the same one is waiting or running
    (`on_conflict="raise"`).

    Attributes:
        handle: the handle of the task that is there.
        task_id: its id.
        queue: its queue.
    """

    handle: Any = None
    task_id: str = ""
    queue: str = ""


class ResultError(FluxQueueError):
    """A task has no value to return to the caller who waits for it.

    Attributes:
        task_id: the task's id.
        queue: its queue.
        state: how the task ended, such as `failed` or `worker_lost`. None: it has not
            ended, or nothing is known of its end.
        error_type: the class of the exception that the task raised, such as
            `requests.exceptions.Timeout`. None: the task raised none.
        error_text: the text of that exception, or why the task could not run.
        remote_traceback: the traceback of the exception in the worker, as text.
        attempts: how many attempts the task had.
        worker: the worker that ended it, as `host:pid`.
    """

    task_id: str = ""
    queue: str = ""
    state: str | None = None
    error_type: str | None = None
    error_text: str = ""
    remote_traceback: str | None = None
    attempts: int = 0
    worker: str | None = None


class ResultTimeout(ResultError, TimeoutError):
    """No result came in time. The task may still be waiting or running, its result may have
    expired, or it never existed."""


class ResultNotKept(ResultError, ValueError):
    """The task was enqueued without `result_ttl`, so that nothing is kept of its end."""


class ResultDeadlock(ResultError, RuntimeError):
    """A worker would wait for a task of a queue that it serves itself. If all its slots wait
    so, none of these tasks can begin."""


class TaskFailed(ResultError):
    """The task is dead: it failed, or could not run. `state` has the reason of the dead set."""


class TaskLost(TaskFailed):
    """The task is dead, because it lost its worker too often."""


class TaskExpired(ResultError):
    """The task did not begin before it expired."""


class TaskCancelled(ResultError):
    """The task was cancelled."""


class FluxQueueWarning(RuntimeWarning):
    """A call works, but is written in a way that blocks an event loop or could lose a task."""


class TaskTimeout(BaseException):
    """A task has run for longer than its `timeout`.

    A sync task gets this exception between two bytecodes, at any point of its code. An
    async task gets `asyncio.CancelledError`. In both cases the attempt has failed with
    this error, even if the task catches the exception and returns.

    `except Exception` does not catch it, just as it does not catch `CancelledError`.
    Otherwise a task that logs every error and continues would never end.
    """


class CancelRequested(BaseException):
    """The task was cancelled (`TaskHandle.cancel`) while it runs.

    A sync task gets this exception once, between two bytecodes, at any point of its code. An
    async task gets `asyncio.CancelledError`. If the task raises anything after that, it ends
    as cancelled, and no retry follows. If it returns, it has succeeded.

    `except Exception` does not catch it, just as it does not catch `CancelledError`.
    """


class MalformedMessage(FluxQueueError, ValueError):
    """The bytes are not a message of this protocol."""
