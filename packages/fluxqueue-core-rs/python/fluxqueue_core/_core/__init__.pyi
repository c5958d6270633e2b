"""The compiled part of `fluxqueue_core`; `mypy.stubtest` checks it. At run time this is one module:
the parts here are for type checkers and readers alone.

Why: docs/decisions/0174-the-stub-of-the-core-is-a-package.md
"""

from .connecting import (
    alert_remedy,
    certificate_fault,
    check_certificates,
    check_server_certificate,
    dial,
    evictions,
    is_temporary,
    operators_remedy,
    refusal_text,
)
from .consuming import Attempt, Consumer
from .enqueueing import Producer, Route
from .events import Event
from .generators import begin_generators, end_generators
from .messages import (
    cancel_outcome,
    checkpointed_message,
    dead_reason,
    dead_result,
    failure_call,
    message_field,
    new_task_id,
    parse_message,
    raise_deliveries,
    requeued_message,
    retried_message,
    snoozed_message,
    succeeded_result,
)
from .process import fork_generation, set_parent_death_signal
from .scripts import key, key_kinds, script, script_keys, script_names
from .settings import DEFAULT_REDIS_URL, Settings, check_namespace, check_queue_name
from .timeouts import CancellableCall, Deadlines, TimedCall, cancel_call, raise_in_task
from .waiting import Mailbox, ResultListener

__all__ = [
    "DEFAULT_REDIS_URL",
    "Attempt",
    "CancellableCall",
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
    "cancel_call",
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

__version__: str
