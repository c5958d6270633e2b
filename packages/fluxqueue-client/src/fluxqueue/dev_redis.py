"""The Redis of `fluxqueue dev`: one that answers already, or one that it starts.

Why: docs/decisions/0061-dev-uses-the-redis-that-the-application-uses.md
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from fluxqueue_core import Settings

from .embedded import EmbeddedRedis, RedisNotStarted
from .errors import ConfigurationError
from .loopback import LOCALHOST, is_loopback

FOLDER = ".fluxqueue/redis"
# Always the same number: a server with fewer could not read the file that this one wrote.
_DATABASES = 1024
# `EmbeddedRedis` listens at the first of these only.
_LOCALHOST = ("127.0.0.1", "::1")
# The latter two: this machine has no such address, or no IPv6.
_NOTHING_LISTENS = (
    *(errno.ECONNREFUSED, errno.ENOENT),
    *(errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT),
)
_ANSWER_SECONDS = 2.0
_LOADING_SECONDS = 60.0
_LOADING_INTERVAL = 0.2
_MOST_BYTES = 1 << 16


def provide(
    settings: Settings, say: Callable[[str], None], stopped: Callable[[], bool]
) -> EmbeddedRedis | None:
    """Makes sure that a Redis answers at the address, if it is on this machine.

    Args:
        say: shows a line to the user.
        stopped: whether the user wants to end the command.

    Returns:
        The server that it started; None if another one answers, or if the address is on
        another machine.

    Raises:
        ConfigurationError: what answers there can't be used, or nothing answers, and a
            server of this address can't be started. The text says why.
        RedisNotFound, RedisNotStarted: nothing answers, and no server could be started.
    """
    reason = _why_not_started(settings)
    if reason is not None:
        if _is_local(settings) and not _listens(settings):
            raise ConfigurationError(
                f"nothing listens at {settings.display_url}, and `fluxqueue dev` starts no Redis"
                f" {reason}; start it yourself, or name one that it can start, for this command"
                f" and for the application: export FLUXQUEUE_REDIS_URL=redis://127.0.0.1:6379"
            )
        say(f"using the Redis at {settings.display_url}")
        return None
    if not _answers(settings, say, stopped):
        [(_, port)] = settings.nodes
        try:
            options = {"databases": str(_DATABASES)}
            server = EmbeddedRedis(FOLDER, port=port, options=options).start()
        except RedisNotStarted as error:
            # Another process was faster.
            if "in use" not in str(error) or not _answers(settings, say, stopped):
                raise
        else:
            say(f"Redis runs at {server.url}, its data in {FOLDER}")
            return server
    say(f"using the Redis that runs at {settings.display_url}")
    return None


def _why_not_started(settings: Settings) -> str | None:
    """Returns the part of the address that no server of `EmbeddedRedis` has; None if it can
    be started there."""
    if settings.kind != "single":
        return "behind Sentinels" if settings.kind == "sentinel" else "Cluster"
    if not settings.nodes:
        return "at a socket in the file system"
    if settings.encrypted:
        return "with TLS"
    if settings.username or settings.password:
        return "with a password"
    [(host, _)] = settings.nodes
    if host.lower() not in (_LOCALHOST[0], LOCALHOST):
        return f"at {host}"
    if settings.database >= _DATABASES:
        return f"with more than {_DATABASES} databases"
    return None


def _is_local(settings: Settings) -> bool:
    """Whether all servers of the address are on this machine, as far as their names tell."""
    return all(is_loopback(host) for host, _ in settings.nodes)


def _listens(settings: Settings) -> bool:
    """Whether something listens at one of the addresses."""
    try:
        for host, port in settings.nodes or [(_path(settings), 0)]:
            connection = _connection(host, port)
            if connection is not None:
                connection.close()
                return True
    except OSError:
        return True  # the worker will say what is wrong
    return False


def _path(settings: Settings) -> str:
    """Returns the path of a socket in the file system."""
    return settings.display_url.removeprefix("unix://").rpartition("?")[0]


def _connection(host: str, port: int) -> socket.socket | None:
    """Connects to a server. Returns None if nothing listens there.

    Args:
        host: a name, an address, or a path.

    Raises:
        OSError: something may listen there, but this process can't connect.
    """
    # A Redis at `localhost` may listen at one of the addresses only.
    for address in _LOCALHOST if host.lower() == LOCALHOST else (host,):
        try:
            if not address.startswith("/"):
                return socket.create_connection((address, port), _ANSWER_SECONDS)
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(address)
            return connection
        except OSError as error:
            if error.errno not in _NOTHING_LISTENS:
                raise
    return None


def _answers(settings: Settings, say: Callable[[str], None], stopped: Callable[[], bool]) -> bool:
    """Returns whether a Redis answers at the address. Waits while it loads its data.

    Raises:
        ConfigurationError: what answers can't be used.
    """
    deadline = time.monotonic() + _LOADING_SECONDS
    told = False
    while (reply := _ask(settings)) is not None:
        reason = _why_not(reply, settings)
        if reason is not None:
            raise ConfigurationError(f"can't use what listens at {settings.display_url}: {reason}")
        if b"\nloading:1" not in reply or stopped() or time.monotonic() > deadline:
            return True
        if not told:
            say("waiting for the Redis that loads its data")
            told = True
        time.sleep(_LOADING_INTERVAL)
    return False


def _ask(settings: Settings) -> bytes | None:
    """Returns the replies to INFO, and to SELECT before it, if it needs one; None if nothing
    listens at the address."""
    [(host, port)] = settings.nodes
    try:
        connection = _connection(host, port)
    except OSError:
        return b""
    if connection is None:
        return None
    select = b"SELECT %d\r\n" % settings.database if settings.database else b""
    reply = b""
    deadline = time.monotonic() + _ANSWER_SECONDS
    with connection:
        try:
            connection.sendall(select + b"INFO\r\nQUIT\r\n")
            while len(reply) < _MOST_BYTES and time.monotonic() < deadline:
                part = connection.recv(_MOST_BYTES)
                if not part:
                    break
                reply += part
        except OSError:
            pass  # the reply so far says what it is
    return reply


def _why_not(reply: bytes, settings: Settings) -> str | None:
    """Returns why FluxQueue can't use the server that sent these replies; None if it can."""
    [(_, port)] = settings.nodes
    other = "stop it, or choose another port: export FLUXQUEUE_REDIS_URL=redis://127.0.0.1:{}"
    other = other.format(port + 1 if port < 65_535 else port - 1)
    line = reply.removeprefix(b"+OK\r\n").partition(b"\r\n")[0].decode(errors="replace")
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
