"""A connection to one server: commands and scripts in pipelines, without redis-py's
own retries.

To send a script again whose reply was lost would do no harm, but a hidden retry makes
a sweep late without a trace. So every failure reaches the caller. The scheduler's loop
logs it once and tries again after a back-off.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from fluxqueue_core import Settings, key, script, script_keys
from redis.exceptions import MovedError, NoPermissionError, NoScriptError, ResponseError

from .actor import actor
from .connect import CLIENT_NAME, Node, close, connect
from .errors import (
    BrokerNotReady,
    Sent,
    denied,
    explained,
    hide_arguments,
    is_read_only,
    is_unavailable,
    mark,
)

Reply = Any

# Characters that the audit keeps of what was changed.
_MOST_ON = 500


@dataclass(frozen=True, slots=True)
class Audit:
    """A change, as the audit describes it. `actor.actor()` makes it.

    Attributes:
        what: the change, in one or two words.
        on: the task or thing that is changed.
    """

    what: str
    on: str


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One call of a Lua script.

    Attributes:
        consumer: the consumer whose keys the script takes.
        results: the ids of tasks whose result the script keeps. Their keys come last.
        only_keys: the keys, if they are not those that the script takes for one queue.
        ended: for `open` only: the consumer that it ends.
        audit: what the same call writes into the audit of the queue; None: nothing.
    """

    name: str
    queue: str
    arguments: Sequence[str | bytes | float] = ()
    consumer: str | None = None
    ended: str | None = None
    only_keys: Sequence[str] | None = None
    results: Sequence[str] = ()
    audit: Audit | None = None

    @property
    def text(self) -> str:
        """The name of the script, as `fluxqueue_core.script` knows it."""
        return self.name if self.audit is None else f"audited {self.name}"

    def keys(self, namespace: str = "") -> list[str]:
        """Returns the keys in the order in which the script takes them."""
        if self.only_keys is not None:
            return list(self.only_keys)
        if self.ended is not None:
            return script_keys(self.name, self.queue, "", [self.ended], namespace)
        keys = script_keys(self.name, self.queue, self.consumer, namespace=namespace)
        return keys + [key("result", self.queue, each, namespace) for each in self.results]


def packed_words(words: Sequence[str]) -> bytes:
    """Packs a part of a command, without the number of its words."""
    encoded = [word.encode() for word in words]
    return b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


@dataclass(frozen=True, slots=True)
class Packed:
    """Commands as they are sent. redis-py takes a microsecond for each word, each time."""

    bytes: bytes
    count: int

    @classmethod
    def of(cls, commands: Sequence[Sequence[str]]) -> Packed:
        """Packs commands, to send them often."""
        parts = []
        for words in commands:
            parts.append(b"*%d\r\n%s" % (len(words), packed_words(words)))
        return cls(b"".join(parts), len(commands))


def _next_reply(connection: Any) -> Reply:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


class RedisClient:
    """Connections to one server, for any thread: one for each thread that uses it at the same
    time. It connects with its first command.

    Args:
        timeout: seconds to wait for one reply; the settings' own if that is shorter.
        node: the node of the cluster, if the settings name a cluster.
        moved: called when the server says that a hash slot belongs to another master.
        client_name: shown by `CLIENT LIST`.

    Attributes:
        namespace: that of the settings; '' for the default one.
    """

    def __init__(
        self,
        settings: Settings,
        timeout: float,
        node: Node | None = None,
        moved: Callable[[], None] | None = None,
        client_name: str = CLIENT_NAME,
    ) -> None:
        self._redis = connect(settings, timeout, node, client_name)
        self.namespace = settings.namespace
        self._is_cluster = node is not None
        self._moved = moved
        self._shows_certificate = "ssl_certfile" in settings.certificates
        self._scripts: dict[str, tuple[str, str]] = {}
        self._flags = True
        # Held while a script is loaded: the digests depend on `_flags`.
        self._lock = threading.RLock()

    @property
    def is_cluster(self) -> bool:
        """Whether the server is a node of a cluster."""
        return self._is_cluster

    @property
    def has_shards(self) -> bool:
        """Whether channels are sharded: in a cluster of Redis 7.0 or later. It is known after
        the first call of a script."""
        return self._is_cluster and self._flags

    @property
    def address(self) -> str:
        """Host and port of the server, or its socket; '' if Sentinels name it."""
        known = self._redis.connection_pool.connection_kwargs
        host = known.get("host")
        return str(known.get("path", "")) if host is None else f"{host}:{known.get('port')}"

    def close(self) -> None:
        """Closes the connections."""
        close(self._redis)

    def key(self, kind: str, queue: str = "", consumer: str = "") -> str:
        """Returns the name of a key in the namespace of the settings, as
        `fluxqueue_core.key` does.

        Raises:
            ConfigurationError: there is no such kind, or the queue's name is not valid.
        """
        return key(kind, queue, consumer, self.namespace)

    def command(self, *words: str | bytes | float) -> Reply:
        """Sends one command and returns its reply.

        Raises:
            ResponseError: Redis refused it.
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        [reply] = self.commands([words])
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def commands(self, commands: Iterable[Sequence[str | bytes | float]]) -> list[Reply]:
        """Sends commands in one round trip and returns their replies. A refused command
        has its `ResponseError` in the list.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        pipeline: Any = self._redis.pipeline(transaction=False)
        sent = list(commands)
        for words in sent:
            pipeline.execute_command(*words)
        return self._replies(
            lambda: pipeline.execute(raise_on_error=False),
            lambda position: _name(sent[position]),
        )

    def send(self, packed: Packed) -> list[Reply]:
        """Sends packed commands; returns and raises as `commands` does."""
        return self._replies(lambda: self._sent(packed), lambda position: "")

    def _sent(self, packed: Packed) -> list[Reply]:
        untyped: Any = self._redis
        with untyped.client() as client:
            client.connection.send_packed_command([packed.bytes])
            return [_next_reply(client.connection) for _ in range(packed.count)]

    def _replies(
        self, execute: Callable[[], list[Reply]], name_of: Callable[[int], str]
    ) -> list[Reply]:
        """Judges the replies.

        Args:
            name_of: names the command at a position, for an error.
        """
        try:
            replies = execute()
        except redis.RedisError as error:
            # Redis refused AUTH or SELECT on a new connection; only the text says which.
            hide_arguments(error)
            if (refused := denied(error)) is not None:
                raise refused from error
            if is_unavailable(error):
                raise BrokerNotReady(explained(error, self._shows_certificate)) from error
            mark(error, Sent("AUTH" if "AUTH" in str(error) else "SELECT"))
            raise
        moved = False
        for position, reply in enumerate(replies):
            if not isinstance(reply, redis.RedisError):
                continue
            hide_arguments(reply)
            mark(reply, Sent(name_of(position)))
            if is_unavailable(reply):
                if is_read_only(reply):
                    # It is no longer the master. Only a new connection asks for the master.
                    self._redis.connection_pool.disconnect()
                raise BrokerNotReady(str(reply))
            moved = moved or isinstance(reply, MovedError)
        if moved and self._moved is not None:
            self._moved()
        return list(replies)

    def call(self, script_call: ScriptCall) -> Reply:
        """Calls one script and returns its reply; raises as `command` does."""
        [reply] = self.calls([script_call])
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def calls(self, script_calls: Sequence[ScriptCall]) -> list[Reply]:
        """Calls scripts in one round trip, or in two if the server does not have one of
        them yet; returns and raises as `commands` does."""
        replies = self.commands([self._evalsha(c) for c in script_calls])
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            for name in {script_calls[i].text for i in missing}:
                self._load(name)
            again = self.commands([self._evalsha(script_calls[i]) for i in missing])
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        for script_call, reply in zip(script_calls, replies, strict=True):
            if isinstance(reply, ResponseError):
                mark(reply, Sent(script=script_call.name))
        return replies

    def packed_calls(self, script_calls: Iterable[tuple[ScriptCall, Packed]]) -> list[Reply]:
        """Calls scripts whose arguments go on with packed ones; returns and raises as `commands`
        does. Each call is sent before the next one is taken from `script_calls`, so the server
        works meanwhile. A server that does not have a script yet answers with a `NoScriptError`."""
        return self._replies(lambda: self._streamed(script_calls), lambda position: "")

    def _streamed(self, script_calls: Iterable[tuple[ScriptCall, Packed]]) -> list[Reply]:
        untyped: Any = self._redis
        with untyped.client() as client:
            connection, count = client.connection, 0
            try:
                for script_call, packed in script_calls:
                    words = self._evalsha(script_call)
                    head = packed_words([str(word) for word in words])
                    total = len(words) + packed.count
                    connection.send_packed_command([b"*%d\r\n%s%s" % (total, head, packed.bytes)])
                    count += 1
                return [_next_reply(connection) for _ in range(count)]
            except BaseException:
                # Replies may be under way, which another command must not read.
                connection.disconnect()
                raise

    def _evalsha(self, script_call: ScriptCall) -> list[str | bytes | float]:
        _, digest = self._script(script_call.text)
        keys = script_call.keys(self.namespace)
        more: tuple[str, ...] = ()
        if (audit := script_call.audit) is not None:
            keys.append(self.key("audit", script_call.queue))
            more = actor(), audit.what, audit.on[:_MOST_ON]
        return ["EVALSHA", digest, len(keys), *keys, *script_call.arguments, *more]

    def _script(self, name: str) -> tuple[str, str]:
        with self._lock:
            found = self._scripts.get(name)
            if found is None:
                text = script(name, self._flags)
                found = text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
                self._scripts[name] = found
            return found

    def _load(self, name: str) -> None:
        with self._lock:
            self._flags = True
            self._scripts.pop(name, None)
            try:
                self.command("SCRIPT", "LOAD", self._script(name)[0])
            except NoPermissionError:
                raise
            except ResponseError:
                # Servers before Redis 7 do not know the line with the flags.
                self._flags = False
                self._scripts.clear()
                self.command("SCRIPT", "LOAD", self._script(name)[0])


def _name(words: Sequence[str | bytes | float]) -> str:
    """The name of a command, such as `SADD` or `SCRIPT LOAD`."""
    own = words[:2] if words[0] in ("CLUSTER", "SCRIPT") else words[:1]
    return " ".join(str(word) for word in own)
