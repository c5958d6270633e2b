"""Makes redis-py clients from the settings: for one server, for the master that
Sentinels name, or for one node of a cluster. None of them retries by itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import redis
from fluxqueue_core import Settings
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, ResponseError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from .connections import connection_class
from .errors import denied, described, hide_arguments

# Host and port.
Node = tuple[str, int]

# The name of a connection in `CLIENT LIST`, unless the caller gives another.
CLIENT_NAME = "fluxqueue-control"


def connect(
    settings: Settings,
    timeout: float,
    node: Node | None = None,
    client_name: str = CLIENT_NAME,
) -> redis.Redis:
    """Returns a client that has not connected yet.

    Args:
        timeout: seconds to wait for one reply; the settings' own if that is shorter.
        node: host and port, if the settings name a cluster.
        client_name: shown by `CLIENT LIST`.
    """
    options = _options(settings, timeout, client_name)
    if settings.kind == "sentinel":
        return _behind_sentinels(settings, options)
    if node is None and not settings.nodes:
        # A socket in the file system.
        return redis.Redis.from_url(settings.url, **options)
    host, port = node or settings.nodes[0]
    return _client(settings, host, port, db=settings.database, **_login(settings), **options)


def _client(settings: Settings, host: str, port: int, **options: Any) -> redis.Redis:
    options |= connection_class(settings)
    return redis.Redis.from_pool(redis.ConnectionPool(host=host, port=port, **options))


def _behind_sentinels(settings: Settings, options: dict[str, Any]) -> redis.Redis:
    """The client asks the Sentinels for the master at each connection, and again when a
    server says that it is no longer the master."""
    login = {"username": settings.sentinel_username, "password": settings.sentinel_password}
    make: Any = _Sentinels  # redis-py has no types for it
    sentinels = make([])
    sentinels.sentinels = [
        _client(settings, host, port, **login, **options) for host, port in settings.nodes
    ]
    client: redis.Redis = sentinels.master_for(
        settings.service,
        db=settings.database,
        **_login(settings),
        **options,
        **connection_class(settings, watched=True),
    )
    return client


class _Sentinels(Sentinel):
    """Says why there is no master: redis-py names only the classes of the errors."""

    def discover_master(self, service_name: str) -> Node:
        """Returns the master's host and port, from the first Sentinel that knows it.

        Raises:
            MasterNotFoundError: no Sentinel knows the master.
        """
        reasons = []
        for sentinel in list(self.sentinels):
            where = "{host}:{port}".format_map(sentinel.connection_pool.connection_kwargs)
            try:
                found: Any = sentinel.sentinel_get_master_addr_by_name(service_name)
            except OSError as error:
                reasons.append(f"{where}: {error}")
                continue
            except redis.RedisError as error:
                hide_arguments(error)
                reasons.append(f"{where}: {described(denied(error) or error)}")
                continue
            if found is not None:
                # Ask this Sentinel first the next time. Another thread may write a list too.
                others = [each for each in self.sentinels if each is not sentinel]
                self.sentinels = [sentinel, *others]
                host, port = found
                return host.decode(), int(port)
            reasons.append(f"{where}: it does not know this name")
        raise MasterNotFoundError(
            f"no Sentinel names a master of {service_name!r} ({'; '.join(reasons)})"
        )


def _login(settings: Settings) -> dict[str, Any]:
    return {"username": settings.username, "password": settings.password}


def _options(settings: Settings, timeout: float, client_name: str) -> dict[str, Any]:
    return {
        "protocol": 2,
        "redis_connect_func": partial(_introduce, client_name),
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": min(timeout, settings.timeout),
        "socket_connect_timeout": settings.connect_timeout,
    }


def _introduce(client_name: str, connection: Any) -> None:
    """Sends the first commands. A server may lack `CLIENT`: it only tells operators who
    is connected."""
    connection.on_connect()
    connection.send_command("CLIENT", "SETNAME", client_name, check_health=False)
    try:
        connection.read_response()
    except NoPermissionError:
        raise
    except ResponseError:
        pass


def close(client: redis.Redis) -> None:
    """Closes the client's connections, those to Sentinels included."""
    client.close()
    sentinels = getattr(client.connection_pool, "sentinel_manager", None)
    if sentinels is not None:
        for sentinel in sentinels.sentinels:
            sentinel.close()
