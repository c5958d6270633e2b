"""All names that FluxQueue uses with OpenTelemetry.

They come from the messaging conventions (v1.44.0); our own are below
`messaging.fluxqueue.*` and `fluxqueue.*`. docs/telemetry.md has the tables.
"""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
SCOPE = "fluxqueue"

# Attributes.
SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION_NAME = "messaging.destination.name"
BATCH_MESSAGE_COUNT = "messaging.batch.message_count"
MESSAGE_ID = "messaging.message.id"
CLIENT_ID = "messaging.client.id"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"

NAMESPACE = "messaging.fluxqueue.namespace"
TASK_NAME = "messaging.fluxqueue.task.name"
ATTEMPT = "messaging.fluxqueue.attempt"
DELIVERIES = "messaging.fluxqueue.deliveries"
DELAY = "messaging.fluxqueue.delay"
REASON = "messaging.fluxqueue.reason"
OUTCOME_VOID = "messaging.fluxqueue.outcome_void"
CONSUMER = "messaging.fluxqueue.consumer"
DEAD_COUNT = "messaging.fluxqueue.dead_count"

SYSTEM_FLUXQUEUE = "fluxqueue"

# Operation types, and the operations of each. A span's name is
# `{operation name} {queue}`.
TYPE_CREATE = "create"
TYPE_SEND = "send"
TYPE_PROCESS = "process"
TYPE_SETTLE = "settle"

CREATE = "create"
ENQUEUE = "enqueue"
PROCESS = "process"
ACK = "ack"
RETRY = "retry"
DEAD = "dead"
RELEASE = "release"
SNOOZE = "snooze"
EXPIRE = "expire"
CANCEL = "cancel"
# The operations that settle a task.
SETTLING = (ACK, RETRY, DEAD, RELEASE, SNOOZE, EXPIRE, CANCEL)
# The scheduler's own; the conventions have no type for them.
PROMOTE = "promote"
RESCUE = "rescue"

# Headers of a message.
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
BAGGAGE = "baggage"


def exception_event(operation_type: str) -> str:
    """The log event of an exception: `messaging.process.exception`, ..."""
    return f"messaging.{operation_type}.exception"


# Metrics of the conventions.
OPERATION_DURATION = "messaging.client.operation.duration"
SENT_MESSAGES = "messaging.client.sent.messages"
CONSUMED_MESSAGES = "messaging.client.consumed.messages"
PROCESS_DURATION = "messaging.process.duration"
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

# Our own metrics.
WAIT_DURATION = "fluxqueue.task.wait.duration"
RETRIES = "fluxqueue.task.retries"
LEASES_LOST = "fluxqueue.worker.leases_lost"
EXPIRED = "fluxqueue.tasks.expired"
CANCELLED = "fluxqueue.tasks.cancelled"
SLOTS = "fluxqueue.worker.slots"
SLOTS_BUSY = "fluxqueue.worker.slots.busy"
TASKS_STUCK = "fluxqueue.worker.tasks.stuck"
QUEUE_DEPTH = "fluxqueue.queue.depth"
QUEUE_DELAYED = "fluxqueue.queue.delayed"
QUEUE_CLAIMED = "fluxqueue.queue.claimed"
QUEUE_DEAD = "fluxqueue.queue.dead"
QUEUE_SUSPECTS = "fluxqueue.queue.suspects"
PROMOTED = "fluxqueue.tasks.promoted"
RESCUED = "fluxqueue.tasks.rescued"
RESCUE_DURATION = "fluxqueue.rescue.duration"
# Seconds that tasks may wait, or a rescue may take: from milliseconds to hours.
LONG_BUCKETS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 300, 1800, 7200)

# Our switches.
CREATE_SPANS_VARIABLE = "FLUXQUEUE_OTEL_CREATE_SPANS"
PROCESS_PARENT_VARIABLE = "FLUXQUEUE_OTEL_PROCESS_PARENT"
BAGGAGE_VARIABLE = "FLUXQUEUE_OTEL_BAGGAGE"
TASK_SPAN_NAMES_VARIABLE = "FLUXQUEUE_OTEL_TASK_SPAN_NAMES"
EXCEPTION_SIGNAL_VARIABLE = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"
