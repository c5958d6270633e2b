"""The scheduler's conversation with one server: scripts in pipelines, no retries of
redis-py's own.

A script that was sent again because its answer was lost would be harmless, but
a hidden retry makes a sweep late without anybody knowing. So every failure
comes up to the loop, which logs it once and tries again with a back-off.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from fluxqueue_core import Settings, key, queue_keys, script
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from .connect import Node, close, connect

# What a server says that is there and can't work yet, or not any more: it is
# treated like one that is away. Older servers put it inside the script's error.
_CANNOT_WORK = re.compile(
    r"\b(LOADING|READONLY|MISCONF|OOM|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|BUSY)\b"
)
_READ_ONLY = re.compile(r"\bread only replica\b")
# Of CLUSTERDOWN, where one slot alone is meant; redis-py has cut off the code.
_NOT_SERVED = "hash slot not served"


class BrokerNotReady(Exception):
    """Redis answered that it can't work at present; the text is its own."""


class AccessDenied(BrokerNotReady):
    """Redis does not let this user in."""


# All that means: only an operator can help, by a right or another password.
DENIED = (redis.AuthenticationError, AccessDenied)
# All that means: Redis is away, try again later.
UNAVAILABLE = (redis.ConnectionError, redis.TimeoutError, OSError, BrokerNotReady)

Reply = Any


def is_on_its_way(error: BaseException) -> bool:
    """Whether the queue's slot is being moved, or is with another master by now.
    Nothing was executed.

    While a slot is being moved no script can run for it: the keys that do not
    exist are missing here, and those not moved yet are missing there, so the old
    owner says TRYAGAIN or ASK and the new one TRYAGAIN, until the move has ended.
    """
    if isinstance(error, ClusterDownError):
        return _NOT_SERVED in str(error).lower()
    return isinstance(error, (MovedError, AskError, TryAgainError))


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One call of a Lua script.

    Attributes:
        consumer: its keys `claimed` and `inbox` follow those of the queue.
        ended: for `open` alone: the consumer that it ends.
    """

    name: str
    queue: str
    arguments: Sequence[str | bytes | float] = ()
    consumer: str | None = None
    ended: str | None = None

    def keys(self) -> list[str]:
        """The keys, in the order of the script's header."""
        keys = queue_keys(self.queue)
        if self.ended is not None:
            keys.append(key("claimed", self.queue))
        for consumer in (self.consumer, self.ended):
            if consumer is not None:
                keys.append(key("claimed", self.queue, consumer))
                keys.append(key("inbox", self.queue, consumer))
        return keys


class RedisClient:
    """One connection, for one thread. Creating it opens no connection.

    Args:
        timeout: seconds that one answer may take; the settings' own if shorter.
        node: the node of the cluster, where the settings name one.
        moved: called when it says that a slot is with another master.
    """

    def __init__(
        self,
        settings: Settings,
        timeout: float,
        node: Node | None = None,
        moved: Callable[[], None] | None = None,
    ) -> None:
        self._redis = connect(settings, timeout, node)
        self._moved = moved
        self._scripts: dict[str, tuple[str, str]] = {}
        self._flags = True

    def close(self) -> None:
        """Closes the connection."""
        close(self._redis)

    def command(self, *words: str | bytes | float) -> Reply:
        """One command.

        Raises:
            ResponseError: Redis refused it.
            UNAVAILABLE: Redis is away or can't work.
        """
        [reply] = self.commands([words])
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def commands(self, commands: Iterable[Sequence[str | bytes | float]]) -> list[Reply]:
        """Commands in one round trip; what Redis refused is a `ResponseError`
        in the list.

        Raises:
            UNAVAILABLE: Redis is away or can't work.
        """
        pipeline: Any = self._redis.pipeline(transaction=False)
        for words in commands:
            pipeline.execute_command(*words)
        try:
            replies = pipeline.execute(raise_on_error=False)
        except redis.RedisError as error:
            # What it said to the first words on a new connection.
            if _cannot_work(error):
                raise BrokerNotReady(str(error)) from error
            if isinstance(error, NoPermissionError):
                raise AccessDenied(f"NOPERM {error}") from error
            raise
        moved = False
        for reply in replies:
            if isinstance(reply, redis.RedisError) and _cannot_work(reply):
                if _READ_ONLY.search(str(reply)):
                    # It was the master. Only a new connection asks who is.
                    self._redis.connection_pool.disconnect()
                raise BrokerNotReady(str(reply))
            moved = moved or isinstance(reply, MovedError)
        if moved and self._moved is not None:
            self._moved()
        return list(replies)

    def call(self, script_call: ScriptCall) -> Reply:
        """One script; errors as with `command`."""
        [reply] = self.calls([script_call])
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def calls(self, script_calls: Sequence[ScriptCall]) -> list[Reply]:
        """Scripts in one round trip, two where the server does not have one of
        them; errors as with `commands`."""
        replies = self.commands([self._evalsha(c) for c in script_calls])
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            for name in {script_calls[i].name for i in missing}:
                self._load(name)
            again = self.commands([self._evalsha(script_calls[i]) for i in missing])
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return replies

    def _evalsha(self, script_call: ScriptCall) -> list[str | bytes | float]:
        _, digest = self._script(script_call.name)
        keys = script_call.keys()
        return ["EVALSHA", digest, len(keys), *keys, *script_call.arguments]

    def _script(self, name: str) -> tuple[str, str]:
        found = self._scripts.get(name)
        if found is None:
            text = script(name, self._flags)
            found = text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            self._scripts[name] = found
        return found

    def _load(self, name: str) -> None:
        self._flags = True
        self._scripts.pop(name, None)
        try:
            self.command("SCRIPT", "LOAD", self._script(name)[0])
        except ResponseError as error:
            if "compiling script" not in str(error):
                raise
            # A server older than 7: it does not know the line of flags.
            self._flags = False
            self._scripts.clear()
            self.command("SCRIPT", "LOAD", self._script(name)[0])


def _cannot_work(error: redis.RedisError) -> bool:
    if is_on_its_way(error):
        return False
    # From the texts of these redis-py has cut off the code.
    coded = (ReadOnlyError, OutOfMemoryError, ClusterDownError)
    if not isinstance(error, ResponseError) or isinstance(error, coded):
        return True
    return _CANNOT_WORK.search(str(error)) is not None
