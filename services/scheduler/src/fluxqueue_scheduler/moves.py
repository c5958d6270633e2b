"""The arguments of one call of `move`: messages of a lost consumer, with their effects."""

from __future__ import annotations

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core import dead_reason, dead_result, failure_call, script_keys

# Where the id is in a message.
ID = slice(13, 49)


class Moves:
    """Collects messages.

    Args:
        client: calls the script.
    """

    def __init__(self, client: RedisClient, queue: str, consumer: str) -> None:
        self._queue = queue
        self._namespace = client.namespace
        self._consumer = consumer
        self._effect = b"keep_sharded" if client.has_shards else b"keep"
        self._keys = len(script_keys("move", queue, consumer, namespace=client.namespace))
        self._arguments: list[str | bytes | int] = []
        self._results: list[str] = []

    def send_home(self, field: bytes, message: bytes) -> None:
        """Returns a message to its list."""
        self._arguments += [field, b"home", message, b""]

    def bury(self, field: bytes, message: bytes, reason: str, error: str) -> None:
        """Puts a message into the dead set. Its result says so, if one is kept; its
        callback is called, if it has one."""
        if (result := dead_result(message, reason, error)) is not None:
            outcome, ttl = result
            self._results.append(message[ID].decode())
            self._arguments += [self._keys + len(self._results), self._effect, outcome, ttl]
        if (call := failure_call(message, self._queue, reason, error, self._namespace)) is not None:
            self._arguments += [call[0], b"push", call[1], b""]
        self._arguments += [field, b"dead", message, dead_reason(reason, error)]

    def call(self) -> ScriptCall:
        """Returns the call."""
        return ScriptCall(
            "move", self._queue, self._arguments, consumer=self._consumer, results=self._results
        )
