"""The exceptions of FluxQueue, all below `FluxQueueError` but
`TaskTimeout`, which a task gets in the worker."""

from __future__ import annotations

from fluxqueue_core.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    BrokerError,
    BrokerUnavailable,
    ConfigurationError,
    EnqueueUncertain,
    FluxQueueError,
    MalformedMessage,
    MessageTooLarge,
    TaskTimeout,
)

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "BrokerError",
    "BrokerUnavailable",
    "ConfigurationError",
    "EnqueueUncertain",
    "FluxQueueError",
    "MalformedMessage",
    "MessageTooLarge",
    "TaskTimeout",
]
