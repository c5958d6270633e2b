"""The scheduler's conversation with Redis: scripts in pipelines, no retries of
redis-py's own.

A script that was sent again because its answer was lost would be harmless, but
a hidden retry makes a sweep late without anybody knowing. So every failure
comes up to the loop, which logs it once and tries again with a back-off.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from fluxqueue_core import Settings, key, queue_keys, script
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

# What a server says that is there and can't work yet, or not any more: it is
# treated like one that is away. Older servers put it inside the script's error.
_CANNOT_WORK = re.compile(
    r"\b(LOADING|READONLY|MISCONF|OOM|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY)\b"
)


class BrokerNotReady(Exception):
    """Redis answered that it can't work at present; the text is its own."""


class AccessDenied(BrokerNotReady):
    """Redis does not let this user in."""


# All that means: only an operator can help, by a right or another password.
DENIED = (redis.AuthenticationError, AccessDenied)
# All that means: Redis is away, try again later.
UNAVAILABLE = (redis.ConnectionError, redis.TimeoutError, OSError, BrokerNotReady)

Reply = Any


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
    """One connection, for one thread. Creating it opens no connection."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        """`timeout` (seconds) bounds one answer; the settings' own if shorter."""
        self._redis = redis.Redis.from_url(
            settings.url,
            protocol=2,
            client_name="fluxqueue-scheduler",
            retry=Retry(NoBackoff(), 0),
            socket_timeout=min(timeout, settings.timeout),
            socket_connect_timeout=settings.connect_timeout,
        )
        self._scripts: dict[str, tuple[str, str]] = {}
        self._flags = True

    def close(self) -> None:
        """Closes the connection."""
        self._redis.close()

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
        for reply in replies:
            if isinstance(reply, redis.RedisError) and _cannot_work(reply):
                raise BrokerNotReady(str(reply))
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
    # From the texts of these redis-py has cut off the code.
    coded = (ReadOnlyError, OutOfMemoryError, ClusterDownError, TryAgainError)
    if not isinstance(error, ResponseError) or isinstance(error, coded):
        return True
    return _CANNOT_WORK.search(str(error)) is not None
