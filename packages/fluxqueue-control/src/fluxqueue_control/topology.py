"""Knows which master of a cluster has which hash slots."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import redis
from fluxqueue_core import Settings
from redis.crc import key_slot
from redis.exceptions import NoPermissionError

from .connect import CLIENT_NAME, Node
from .errors import UNAVAILABLE, remedy, sent
from .redis_client import RedisClient

# Seconds to wait for a node's reply.
PATIENCE = 2.0


class NoCluster(Exception):
    """The server is not a node of a cluster."""


class Topology:
    """Asks the nodes. The first `refresh` opens the first connection.

    Args:
        timeout: seconds to wait for a node's reply; the settings' own if that is shorter.
        moved: called when a node says that a hash slot belongs to another master.
        client_name: shown by `CLIENT LIST`.

    Attributes:
        masters: the masters that have hash slots.
    """

    def __init__(
        self,
        settings: Settings,
        timeout: float = PATIENCE,
        moved: Callable[[], None] | None = None,
        client_name: str = CLIENT_NAME,
    ) -> None:
        self._settings = settings
        self._timeout = timeout
        self._moved = moved
        self._client_name = client_name
        self._clients: dict[Node, RedisClient] = {}
        self._hash_slots: dict[range, Node] = {}
        self._replicas: Sequence[Node] = ()
        self._asked: Node | None = None
        self.masters: Sequence[Node] = ()

    def refresh(self, away: Collection[Node] = ()) -> None:
        """Asks a node for the hash slots.

        Args:
            away: nodes to ask only after all others.

        Raises:
            redis.ConnectionError: no node answers.
            NoCluster: a server answers that is not a node of a cluster.
        """
        # Ask the same node as before while it answers, so that the view does not alternate
        # between nodes that disagree. Ask replicas last: a replica that is cut off from the
        # cluster still answers, with old hash slots.
        candidates = [*self.masters, *self._settings.nodes, *self._replicas]
        if self._asked is not None and self._asked in self.masters:
            candidates.insert(0, self._asked)
        errors: list[str] = []
        for node in sorted(dict.fromkeys(candidates), key=lambda node: node in away):
            try:
                self._read(node)
            except (*UNAVAILABLE, redis.ResponseError) as error:
                found = remedy(error)
                errors.append(f"{node[0]}:{node[1]}: {error}{f'; {found}' if found else ''}")
                if sent(error).command == "CLUSTER SLOTS" and not isinstance(
                    error, NoPermissionError
                ):
                    raise NoCluster(
                        f"{errors[-1]}; a server that is no node of a cluster has a URL "
                        "that begins with redis:// or rediss://"
                    ) from error
            else:
                return
        raise redis.ConnectionError(f"no node of the cluster answers: {'; '.join(errors)}")

    def _read(self, node: Node) -> None:
        hash_slots: dict[range, Node] = {}
        replicas: set[Node] = set()
        for first, last, *servers in self.client(node).command("CLUSTER", "SLOTS"):
            master, *others = (_address(server, node) for server in servers)
            hash_slots[range(int(first), int(last) + 1)] = master
            replicas.update(others)
        if not hash_slots:
            raise redis.ConnectionError("it knows of no hash slots")
        self._asked = node
        self._hash_slots = hash_slots
        self.masters = tuple(sorted(set(hash_slots.values())))
        self._replicas = tuple(sorted(replicas))
        known = {*self.masters, *self._replicas, *self._settings.nodes}
        for gone in self._clients.keys() - known:
            self._clients.pop(gone).close()

    def client(self, node: Node) -> RedisClient:
        """Returns a client of that node, for the thread that refreshes."""
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = RedisClient(
                self._settings, self._timeout, node, self._moved, self._client_name
            )
        return client

    def owner(self, key: str) -> Node | None:
        """Returns the master that has this key's hash slot; None if no master has it."""
        hash_slot = key_slot(key.encode())
        return next(
            (node for hash_slots, node in self._hash_slots.items() if hash_slot in hash_slots), None
        )

    def close(self) -> None:
        """Closes all connections."""
        for client in self._clients.values():
            client.close()


def _address(server: Sequence[Any], asked: Node) -> Node:
    """Reads `[host, port, id, ...]`. Without a host the server means itself."""
    host = server[0].decode() if server[0] else ""
    return (asked[0] if host in ("", "?") else host), int(server[1])
