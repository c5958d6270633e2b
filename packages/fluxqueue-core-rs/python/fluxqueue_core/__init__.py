"""The Rust core of FluxQueue. An internal package: applications use `fluxqueue`."""

from __future__ import annotations

from . import errors
from ._core import (
    DEFAULT_REDIS_URL,
    Consumer,
    Job,
    Producer,
    Route,
    Settings,
    __version__,
    check_queue_name,
    dead_reason,
    fork_generation,
    key,
    key_kinds,
    message_field,
    missing_right,
    new_task_id,
    parse_message,
    queue_keys,
    raise_deliveries,
    script,
    script_names,
    set_parent_death_signal,
)

__all__ = [
    "DEFAULT_REDIS_URL",
    "Consumer",
    "Job",
    "Producer",
    "Route",
    "Settings",
    "__version__",
    "check_queue_name",
    "dead_reason",
    "errors",
    "fork_generation",
    "key",
    "key_kinds",
    "message_field",
    "missing_right",
    "new_task_id",
    "parse_message",
    "queue_keys",
    "raise_deliveries",
    "script",
    "script_names",
    "set_parent_death_signal",
]
