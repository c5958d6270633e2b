"""The Rust core of FluxQueue. An internal package: applications use `fluxqueue`."""

from __future__ import annotations

from . import errors
from ._core import *  # noqa: F403
from ._core import __version__

# ruff: noqa: F405  # the names are in `_core`
__all__ = [
    "DEFAULT_REDIS_URL",
    "Attempt",
    "Consumer",
    "Deadlines",
    "Event",
    "Mailbox",
    "Producer",
    "ResultListener",
    "Route",
    "Settings",
    "TimedCall",
    "__version__",
    "alert_remedy",
    "begin_generators",
    "cancel_outcome",
    "certificate_fault",
    "check_certificates",
    "check_namespace",
    "check_queue_name",
    "check_server_certificate",
    "checkpointed_message",
    "dead_reason",
    "dead_result",
    "dial",
    "end_generators",
    "errors",
    "evictions",
    "failure_call",
    "fork_generation",
    "is_temporary",
    "key",
    "key_kinds",
    "message_field",
    "new_task_id",
    "operators_remedy",
    "parse_message",
    "raise_deliveries",
    "raise_in_task",
    "refusal_text",
    "requeued_message",
    "retried_message",
    "script",
    "script_keys",
    "script_names",
    "set_parent_death_signal",
    "snoozed_message",
    "succeeded_result",
]
