"""The exceptions of FluxQueue, all below `FluxQueueError` except `TaskTimeout` and
`CancelRequested`, which a task gets in the worker; and its warning."""

from __future__ import annotations

from fluxqueue_core.errors import *  # noqa: F403

# ruff: noqa: F405  # the core has these names
__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "BrokerError",
    "BrokerUnavailable",
    "CancelRequested",
    "ConfigurationError",
    "DuplicateTask",
    "EnqueueUncertain",
    "FluxQueueError",
    "FluxQueueWarning",
    "MalformedMessage",
    "MessageTooLarge",
    "ResultDeadlock",
    "ResultError",
    "ResultNotKept",
    "ResultTimeout",
    "TaskCancelled",
    "TaskExpired",
    "TaskFailed",
    "TaskLost",
    "TaskTimeout",
]
