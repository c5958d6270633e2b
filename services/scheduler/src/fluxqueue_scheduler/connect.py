"""Clients of redis-py, as the settings say: of a server, of the master that the
Sentinels name, of one node of a cluster. None of them retries by itself."""

from __future__ import annotations

from typing import Any

import redis
from fluxqueue_core import Settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

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
    make: Any = Sentinel  # has no types
    sentinels = make(settings.nodes, sentinel_kwargs={**theirs, **options})
    client: redis.Redis = sentinels.master_for(
        settings.service, db=settings.database, **_login(settings), **options
    )
    return client


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
