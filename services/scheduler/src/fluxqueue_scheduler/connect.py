"""Clients of redis-py, as the settings say: of a server, of the master that the
Sentinels name, of one node of a cluster. None of them retries by itself."""

from __future__ import annotations

from typing import Any

import redis
from fluxqueue_core import Settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

Node = tuple[str, int]


def connect(settings: Settings, timeout: float, node: Node | None = None) -> redis.Redis:
    """A client that has not connected yet.

    Args:
        timeout: seconds that one answer may take; the settings' own if shorter.
        node: host and port, where the settings name a cluster.
    """
    if settings.kind == "sentinel":
        return _of_sentinels(settings, timeout)
    if node is not None:
        host, port = node
        return redis.Redis(host, port, **_login(settings), **_options(settings, timeout))
    return redis.Redis.from_url(settings.url, **_waiting(settings, timeout))


def _of_sentinels(settings: Settings, timeout: float) -> redis.Redis:
    """Whenever it connects it asks the Sentinels, and once more after a server has
    said that it is the master no longer."""
    theirs = {"username": settings.sentinel_username, "password": settings.sentinel_password}
    options = _options(settings, timeout)
    make: Any = _Sentinels  # redis-py has no types for it
    sentinels = make(settings.nodes, sentinel_kwargs={**theirs, **options})
    client: redis.Redis = sentinels.master_for(
        settings.service, db=settings.database, **_login(settings), **options
    )
    return client


class _Sentinels(Sentinel):
    """Says why there is no master: redis-py itself names the classes of the errors."""

    def discover_master(self, service_name: str) -> Node:
        """Host and port of the master, from the first Sentinel that knows it.

        Raises:
            MasterNotFoundError: none does.
        """
        reasons = []
        for sentinel in list(self.sentinels):
            where = "{host}:{port}".format_map(sentinel.connection_pool.connection_kwargs)
            try:
                found: Any = sentinel.sentinel_get_master_addr_by_name(service_name)
            except (redis.RedisError, OSError) as error:
                reasons.append(f"{where}: {error}")
                continue
            if found is not None:
                # That one is asked first the next time.
                self.sentinels.remove(sentinel)
                self.sentinels.insert(0, sentinel)
                host, port = found
                return host.decode(), int(port)
            reasons.append(f"{where}: it does not know this name")
        raise MasterNotFoundError(
            f"no Sentinel names a master of {service_name!r} ({'; '.join(reasons)})"
        )


def _login(settings: Settings) -> dict[str, Any]:
    return {"username": settings.username, "password": settings.password}


def _options(settings: Settings, timeout: float) -> dict[str, Any]:
    encryption = {"ssl": True, **settings.certificates} if settings.encrypted else {}
    return {**_waiting(settings, timeout), **encryption}


def _waiting(settings: Settings, timeout: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "client_name": "fluxqueue-scheduler",
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": min(timeout, settings.timeout),
        "socket_connect_timeout": settings.connect_timeout,
    }


def close(client: redis.Redis) -> None:
    """Closes its connections, those to Sentinels as well."""
    client.close()
    sentinels = getattr(client.connection_pool, "sentinel_manager", None)
    if sentinels is not None:
        for sentinel in sentinels.sentinels:
            sentinel.close()
