"""Which master of a cluster has which slots."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import redis
from fluxqueue_core import Settings
from redis.crc import key_slot

from .connect import Node
from .redis_client import UNAVAILABLE, RedisClient

# Seconds that a node has to answer.
PATIENCE = 2.0


class NoCluster(Exception):
    """The server is no node of a cluster."""


class Topology:
    """Asks the nodes. Creating it opens no connection.

    Attributes:
        masters: those that have slots.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[Node, RedisClient] = {}
        self._slots: dict[range, Node] = {}
        self._replicas: Sequence[Node] = ()
        self._asked: Node | None = None
        self.masters: Sequence[Node] = ()

    def refresh(self, away: Collection[Node] = ()) -> None:
        """Asks a node for the slots.

        Args:
            away: nodes that are asked only after all others.

        Raises:
            redis.ConnectionError: no node answers.
            NoCluster: one answers that is no node of a cluster.
        """
        # The same as before, if it still answers: so nodes that do not agree are
        # not heard in turn. Replicas last: nobody else would see one cut off.
        candidates = [*self.masters, *self._settings.nodes, *self._replicas]
        if self._asked is not None and self._asked in self.masters:
            candidates.insert(0, self._asked)
        errors: list[str] = []
        for node in sorted(dict.fromkeys(candidates), key=lambda node: node in away):
            try:
                self._read(node)
            except (*UNAVAILABLE, redis.ResponseError) as error:
                errors.append(f"{node[0]}:{node[1]}: {error}")
                if "cluster support disabled" in str(error):
                    raise NoCluster(
                        f"{errors[-1]}; a server that is no node of a cluster has a URL "
                        "that begins with redis:// or rediss://"
                    ) from error
            else:
                return
        raise redis.ConnectionError(f"no node of the cluster answers: {'; '.join(errors)}")

    def _read(self, node: Node) -> None:
        slots: dict[range, Node] = {}
        replicas: set[Node] = set()
        for first, last, *servers in self.client(node).command("CLUSTER", "SLOTS"):
            master, *others = (_address(server, node) for server in servers)
            slots[range(int(first), int(last) + 1)] = master
            replicas.update(others)
        if not slots:
            raise redis.ConnectionError("it knows of no slots")
        self._asked = node
        self._slots = slots
        self.masters = tuple(sorted(set(slots.values())))
        self._replicas = tuple(sorted(replicas))
        known = {*self.masters, *self._replicas, *self._settings.nodes}
        for gone in self._clients.keys() - known:
            self._clients.pop(gone).close()

    def client(self, node: Node) -> RedisClient:
        """A client of that node, for the thread that refreshes."""
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = RedisClient(self._settings, PATIENCE, node)
        return client

    def owner(self, key: str) -> Node | None:
        """The master that has this key's slot; None where nobody has."""
        slot = key_slot(key.encode())
        return next((node for slots, node in self._slots.items() if slot in slots), None)

    def close(self) -> None:
        """Closes all connections."""
        for client in self._clients.values():
            client.close()


def _address(server: Sequence[Any], asked: Node) -> Node:
    """Of `[host, port, id, ...]`; without a host it is the one that was asked."""
    host = server[0].decode() if server[0] else ""
    return (asked[0] if host in ("", "?") else host), int(server[1])
