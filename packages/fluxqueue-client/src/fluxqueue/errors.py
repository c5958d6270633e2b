"""The exceptions of FluxQueue, all below `FluxQueueError`."""

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
]
