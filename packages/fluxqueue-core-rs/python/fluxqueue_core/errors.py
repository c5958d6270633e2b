"""The exceptions that FluxQueue raises: all but `TaskTimeout` are a `FluxQueueError`.

They live in the core because the Rust code raises them; applications import
them from `fluxqueue`.
"""

from __future__ import annotations


class FluxQueueError(Exception):
    """The base of every exception that FluxQueue raises on purpose.

    Attributes:
        enqueued: how many tasks of the failed call are in Redis nevertheless (a
            bulk call sends in chunks; 0 for a call of a single task).
    """

    enqueued: int = 0


class ConfigurationError(FluxQueueError, ValueError):
    """A URL, a setting, a queue name or a task name is not valid."""


class BrokerError(FluxQueueError):
    """Redis answered with an error; nothing was enqueued by that command."""


class BrokerUnavailable(BrokerError, ConnectionError):
    """Redis could not be reached in time; nothing was sent."""


class EnqueueUncertain(FluxQueueError, ConnectionError):
    """The connection broke or timed out after the command had been written.

    Redis may or may not have executed it, so the task may or may not run. It
    is not sent again: the caller knows whether running it twice does harm.
    """


class MessageTooLarge(FluxQueueError, ValueError):
    """The message is larger than `max_message_bytes`; nothing was sent."""


class ArgumentTypeError(FluxQueueError, TypeError):
    """An argument is of a type that JSON can't carry; nothing was sent."""


class ArgumentValueError(FluxQueueError, ValueError):
    """An argument's value (NaN, 2**64) can't be carried; nothing was sent."""


class TaskTimeout(BaseException):
    """A task has run for longer than its `timeout`.

    A sync task gets it between two bytecodes, wherever it is. An async task gets
    `asyncio.CancelledError`. Either way the attempt counts as failed with this
    error, even if the task catches the exception and returns.

    As with `CancelledError`, `except Exception` does not catch it: a task that
    logs every error and goes on would never end.
    """


class MalformedMessage(FluxQueueError, ValueError):
    """The bytes are not a message of this protocol."""
