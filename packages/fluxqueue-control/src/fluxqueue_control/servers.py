"""Finds the server that has a queue: the one server there is, the master that Sentinels
name, or the master of a cluster that owns the queue's hash slot."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import redis
from fluxqueue_core import Settings, key

from .connect import CLIENT_NAME
from .redis_client import RedisClient
from .topology import Topology

# Seconds after which a cluster is asked again which master owns which hash slot.
_FRESH = 1.0


class Servers:
    """Clients for short-lived tools, for any thread. The first use of a client connects.

    Args:
        timeout: seconds to wait for one reply; the settings' own if that is shorter.
        client_name: shown by `CLIENT LIST`.
    """

    def __init__(
        self, settings: Settings, timeout: float = 5.0, client_name: str = CLIENT_NAME
    ) -> None:
        self._namespace = settings.namespace
        self._topology: Topology | None = None
        self._asked_at = float("-inf")
        self._lock = threading.Lock()
        if settings.kind == "cluster":
            self._topology = Topology(settings, timeout, self._hash_slot_has_moved, client_name)
        else:
            self._client = RedisClient(settings, timeout, client_name=client_name)

    def of_queue(self, queue: str) -> RedisClient:
        """Returns a client of the server that has this queue. In a cluster another master
        may have it a moment later: ask for each call.

        Raises:
            ConfigurationError: the queue's name is not valid.
            NoCluster: the server is not a node of a cluster.
            UNAVAILABLE: no node of the cluster answers, or no master has the hash slot.
        """
        return self.of_key(key("pending", queue, namespace=self._namespace))

    def of_queues(self, queues: Iterable[str]) -> list[tuple[RedisClient, list[str]]]:
        """Returns the clients of these queues, each with those that its server has; raises as
        `of_queue` does."""
        by_client: dict[int, tuple[RedisClient, list[str]]] = {}
        for queue in queues:
            client = self.of_queue(queue)
            by_client.setdefault(id(client), (client, []))[1].append(queue)
        return list(by_client.values())

    def of_registry(self) -> RedisClient:
        """Returns a client of the server that has the registry; raises as `of_queue` does."""
        return self.of_key(key("queues", namespace=self._namespace))

    def of_key(self, name: str) -> RedisClient:
        """Returns a client of the server that has this key; raises as `of_queue` does."""
        if self._topology is None:
            return self._client
        with self._lock:
            if time.monotonic() - self._asked_at > _FRESH:
                self._topology.refresh()
                self._asked_at = time.monotonic()
            owner = self._topology.owner(name)
            if owner is None:
                self._hash_slot_has_moved()
                raise redis.ConnectionError(f"no master of the cluster has the hash slot of {name}")
            return self._topology.client(owner)

    def _hash_slot_has_moved(self) -> None:
        self._asked_at = float("-inf")

    def close(self) -> None:
        """Closes all connections."""
        if self._topology is None:
            self._client.close()
        else:
            self._topology.close()
