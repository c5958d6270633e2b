"""A cluster: a shard for each master, so that one which is away or slow delays only
its own queues.

One thread looks which masters there are and which queues each has, once a second
and at once when a master says that a slot has moved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import redis
from fluxqueue_core import Settings, key
from fluxqueue_core.service.log import get_logger

from .connect import Node
from .loop import Loop
from .outages import Complaints, Outages
from .queues import Registry
from .redis_client import UNAVAILABLE, RedisClient
from .shard import Shard
from .topology import Topology

REFRESH_INTERVAL = 1.0
# How soon it is seen that a slot has moved (seconds).
TICK = 0.1


class QueuesOfMaster:
    """The queues that one master has: given by `Shards`, so a loop of the master's
    never asks another one."""

    def __init__(self, register: Callable[[str], None]) -> None:
        self.names: tuple[str, ...] = ()
        self.error = ""
        self._register = register

    def refresh(self, client: RedisClient) -> None:
        """Done by `Shards`."""

    def register(self, client: RedisClient, name: str) -> bool:
        """Passes it on to `Shards`, which says whether it is new."""
        self._register(name)
        return False


class Shards:
    """The shards of a cluster.

    Args:
        make: a shard that is not started, with these queues, of that master; it
            calls the function when a slot has moved.
    """

    def __init__(
        self,
        settings: Settings,
        make: Callable[[QueuesOfMaster, Node, Callable[[], None]], Shard],
        complaints: Complaints,
    ) -> None:
        self._topology = Topology(settings)
        self._make = make
        self._complaints = complaints
        self._stop = threading.Event()
        self._loop = Loop("topology", self._step, self._stop, Outages(), complaints)
        self._shards: dict[Node, Shard] = {}
        self._ending: list[Shard] = []
        self._lock = threading.Lock()
        self._registry = Registry(complaints)
        self._unread = ""
        self._found: set[str] = set()
        self._moved = threading.Event()
        self._next = 0.0

    def start(self) -> None:
        """Starts the thread that starts the shards."""
        self._loop.start()

    def current(self) -> Sequence[Shard]:
        """The shards that work."""
        with self._lock:
            return list(self._shards.values())

    @property
    def loops(self) -> Sequence[Loop]:
        """All threads."""
        return [self._loop, *(loop for shard in self.current() for loop in shard.loops)]

    @property
    def error(self) -> str:
        """Why the names of the queues can't be read; empty where they can."""
        return self._unread or self._registry.error

    def _step(self) -> float:
        if self._moved.is_set() or time.monotonic() >= self._next:
            self._moved.clear()
            away = {node for node, shard in self._shards.items() if shard.outages.on}
            self._topology.refresh(away)
            self._replace()
            self._read_names()
            self._give_names()
            self._next = time.monotonic() + REFRESH_INTERVAL
        return TICK

    def _replace(self) -> None:
        """Starts shards of new masters, ends those of masters that are none now."""
        masters = self._topology.masters
        old = {node: shard for node, shard in self._shards.items() if node not in masters}
        new = {
            node: self._make(QueuesOfMaster(self._note), node, self._moved.set)
            for node in masters
            if node not in self._shards
        }
        if old or new:
            get_logger().info("cluster.masters", nodes=[f"{host}:{port}" for host, port in masters])
        with self._lock:
            kept = {node: s for node, s in self._shards.items() if node not in old}
            self._shards = kept | new
        for shard in new.values():
            shard.start()
        for shard in old.values():
            shard.end()
            self._ending.append(shard)
        for shard in [s for s in self._ending if s.ended()]:
            shard.stop()
            shard.outages.replaced()
            self._ending.remove(shard)

    def _note(self, name: str) -> None:
        with self._lock:
            self._found.add(name)

    def _read_names(self) -> None:
        """Brings the names up to date; they stay as they are while the master that
        has the registry does not answer."""
        owner = self._topology.owner(key("queues"))
        if owner is None or any(loop.error for loop in self._shards[owner].loops):
            return
        with self._lock:
            found = self._found.copy()
        client = self._topology.client(owner)
        outages = self._shards[owner].outages
        try:
            for name in sorted(found):
                try:
                    if self._registry.register(client, name):
                        get_logger().warning("queue.found", queue=name)
                except redis.ResponseError as error:
                    self._complaints.about_queue(name, "register it", error)
            self._registry.read(client)
        except UNAVAILABLE as error:
            outages.began("registry", error)
            self._unread = f"the names of the queues can't be read: {error}"
            return
        outages.ended("registry")
        self._unread = ""
        with self._lock:
            self._found -= set(self._registry.names)

    def _give_names(self) -> None:
        """Says to each shard which queues it has: among them such as could not be
        registered yet."""
        with self._lock:
            names = {*self._registry.names, *self._found}
        of_master: dict[Node, list[str]] = {node: [] for node in self._shards}
        for name in sorted(names):
            owner = self._topology.owner(key("pending", name))
            if owner is None:
                self._complaints.about(
                    "queue.not_served",
                    name,
                    queue=name,
                    error="no master of the cluster has its slot",
                )
            else:
                of_master[owner].append(name)
        for node, shard in self._shards.items():
            shard.queues.names = tuple(of_master[node])

    def stop(self) -> None:
        """Lets each loop finish the call it is in, and closes the connections."""
        self._stop.set()
        self._loop.join()
        shards = [*self._shards.values(), *self._ending]
        for shard in shards:
            shard.end()
        for shard in shards:
            shard.stop()
        self._topology.close()
