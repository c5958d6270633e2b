"""Messages, ids, and the texts about the end of a task."""

from typing import Any

def parse_message(message: bytes) -> dict[str, Any]:
    """Returns the parts of a message: `task_id`, `opts` (bytes or None), `condemned`
    (`expired`, `cancelled` or None), `priority` (0 to 9), `expires` (ms since 1970, or
    None), `result_ttl` (ms or None),
    `snoozes`, `releases`, `name`, `args` (bytes), `kwargs` (bytes or None),
    `retries`, `deliveries`, `requeues`, `max_retries`, `timeout` (seconds or None), `timeout_wins`,
    `headers` (a dict or None), `on_failure` (JSON as text, or None), `enqueued_at` (ms since
    1970), `unknown_since` (ms since 1970, or None).

    Raises:
        MalformedMessage: the bytes are not a message. The text says what is wrong.
    """

def message_field(message: bytes) -> bytes | None:
    """Returns the field under which a claimed hash holds the message. None: the bytes
    do not begin like a message. `field` in lua/lib/message.lua applies the same rule."""

def raise_deliveries(message: bytes, limit: int = 3) -> tuple[bytes, bytes, bool]:
    """Counts a lost worker, for the rescue.

    Returns (the old field, the message with `deliveries` raised by one, whether the
    count has reached `limit` and the task is dead as worker_lost). A message that is
    condemned is returned unchanged; so is one of a newer version, with b'' for the field.

    Raises:
        MalformedMessage: the bytes do not begin like a message.
    """

def requeued_message(message: bytes, keep_expiry: bool = True) -> bytes:
    """Returns a dead message as it is enqueued again: without its counts, and without its
    expiry if `keep_expiry` is False. A message of a newer version is returned unchanged.

    Raises:
        MalformedMessage: it can't be read.
    """

def new_task_id() -> str:
    """Returns a UUIDv7, for `Producer.enqueue`."""

def dead_reason(reason: str, error: str, traceback: str | None = None) -> bytes:
    """Returns the JSON that `dead:reasons` keeps for a dead message."""

def dead_result(
    message: bytes,
    reason: str,
    error: str,
    traceback: str | None = None,
    started: int | None = None,
) -> tuple[bytes, int] | None:
    """Returns the outcome that is kept of a task that ends as dead, as JSON, and for how many
    milliseconds. None: nothing of it is kept. `started` is when the last attempt began (ms since
    1970); None: the task ends without a worker."""

def succeeded_result(message: bytes, value: bytes, started: int) -> tuple[bytes, int] | None:
    """As `dead_result`, for a task that has returned `value`, which is JSON."""

def retried_message(message: bytes) -> bytes:
    """Returns the message of the next attempt, after a failure.

    Raises:
        MalformedMessage: it can't be read.
    """

def snoozed_message(message: bytes) -> bytes:
    """Returns the message of a task that has put itself off. Raises as `retried_message`."""

def checkpointed_message(message: bytes, checkpoint: bytes) -> bytes:
    """Returns the message of a task that has saved a checkpoint, which is JSON. Raises as
    `retried_message`."""

def cancel_outcome(task_id: str) -> tuple[bytes, bytes]:
    """Returns the outcome of a task that is cancelled before it begins, as JSON: what comes
    before the number of its attempts, and what follows it.

    Raises:
        RuntimeError: it is not an id.
    """

def failure_call(
    message: bytes,
    queue: str,
    reason: str,
    error: str,
    namespace: str = "",
    traceback: str | None = None,
    has_begun: bool = False,
) -> tuple[str, bytes] | None:
    """Returns the call that follows when a task ends as dead: the key of the list that it goes to,
    and its message. `has_begun`: an attempt ended it. None: the task has no callback."""
