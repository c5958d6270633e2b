"""The Redis of `fluxqueue dev`: one that answers already, or one that it starts.

Why: docs/decisions/0061-dev-uses-the-redis-that-the-application-uses.md
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from fluxqueue_core import Settings

from .embedded import EmbeddedRedis, RedisNotStarted
from .errors import ConfigurationError

FOLDER = ".fluxqueue/redis"
# `EmbeddedRedis` listens at the first of these only.
_THIS_MACHINE = ("127.0.0.1", "localhost")
_ANSWER_SECONDS = 2.0
_LOADING_SECONDS = 60.0
_LOADING_INTERVAL = 0.2
_MOST_BYTES = 1 << 16


def provide(
    settings: Settings, say: Callable[[str], None], stopped: Callable[[], bool]
) -> EmbeddedRedis | None:
    """Makes sure that a Redis answers at the address, if it is a plain one on this machine.

    Args:
        say: shows a line to the user.
        stopped: whether the user wants to end the command.

    Returns:
        The server that it started; None if another one answers, or if the address is on
        another machine, has a password, or names several servers.

    Raises:
        ConfigurationError: what answers there can't be used. The text says why.
        RedisNotFound, RedisNotStarted: nothing answers, and no server could be started.
    """
    port = _port(settings)
    if port is None:
        say(f"using the Redis at {settings.display_url}")
        return None
    if not _answers(settings, port, say, stopped):
        try:
            server = EmbeddedRedis(FOLDER, port=port).start()
        except RedisNotStarted as error:
            # Another process was faster.
            if "in use" not in str(error) or not _answers(settings, port, say, stopped):
                raise
        else:
            say(f"Redis runs at {server.url}, its data in {FOLDER}")
            return server
    say(f"using the Redis that runs at {settings.display_url}")
    return None


def _port(settings: Settings) -> int | None:
    """Returns the port of one server on this machine without TLS and password, else None."""
    plain = settings.kind == "single" and not settings.encrypted
    if not plain or settings.username or settings.password:
        return None
    return next((port for host, port in settings.nodes if host in _THIS_MACHINE), None)


def _answers(
    settings: Settings, port: int, say: Callable[[str], None], stopped: Callable[[], bool]
) -> bool:
    """Returns whether a Redis answers at the port. Waits while it loads its data.

    Raises:
        ConfigurationError: what answers can't be used.
    """
    deadline = time.monotonic() + _LOADING_SECONDS
    told = False
    while (reply := _ask(port)) is not None:
        reason = _why_not(reply, port)
        if reason is not None:
            raise ConfigurationError(f"can't use what listens at {settings.display_url}: {reason}")
        if b"\nloading:1" not in reply or stopped() or time.monotonic() > deadline:
            return True
        if not told:
            say("waiting for the Redis that loads its data")
            told = True
        time.sleep(_LOADING_INTERVAL)
    return False


def _ask(port: int) -> bytes | None:
    """Returns the reply to INFO; None if nothing listens at the port."""
    try:
        connection = socket.create_connection((_THIS_MACHINE[0], port), _ANSWER_SECONDS)
    except ConnectionRefusedError:
        return None
    except OSError:
        return b""
    reply = b""
    deadline = time.monotonic() + _ANSWER_SECONDS
    with connection:
        try:
            connection.sendall(b"INFO\r\nQUIT\r\n")
            while len(reply) < _MOST_BYTES and time.monotonic() < deadline:
                part = connection.recv(_MOST_BYTES)
                if not part:
                    break
                reply += part
        except OSError:
            pass  # the reply so far says what it is
    return reply


def _why_not(reply: bytes, port: int) -> str | None:
    """Returns why FluxQueue can't use the server that sent this reply; None if it can."""
    other = "stop it, or choose another port: export FLUXQUEUE_REDIS_URL=redis://127.0.0.1:{}"
    other = other.format(port + 1 if port < 65_535 else port - 1)
    line = reply.partition(b"\r\n")[0].decode(errors="replace")
    if not reply:
        return f"it does not answer like a Redis without TLS; {other}"
    if line.startswith("-NOAUTH"):
        return (
            "it wants a password; put that into the URL, for this command and for the"
            f" application: export FLUXQUEUE_REDIS_URL=redis://:PASSWORD@127.0.0.1:{port}"
        )
    if line.startswith("-NOPERM"):
        return None  # a Redis whose users may not run INFO
    if line.startswith("-"):
        return f"it answers {line[1:]!r}; {other}"
    if not line.startswith("$") or b"redis_version:" not in reply:
        return f"it is not a Redis; {other}"
    if b"\nredis_mode:sentinel" in reply:
        return "it is a Sentinel; write redis+sentinel://127.0.0.1:PORT/SERVICE"
    if b"\ncluster_enabled:1" in reply:
        return f"it is a node of a cluster; write redis+cluster://127.0.0.1:{port}"
    if b"\nrole:slave" in reply:
        return "it is a replica, which takes no tasks; name its master"
    return None
