"""A shard for each master of a cluster, so that a slow or unreachable master delays only
its own queues.

One thread finds the masters and the queues of each: once a second, and at once when a
master says that a hash slot has moved.

Why: docs/decisions/0029-a-shard-of-threads-for-each-master.md
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import redis
from fluxqueue_control.connect import Node
from fluxqueue_control.errors import UNAVAILABLE
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.topology import Topology
from fluxqueue_core import Settings, key
from fluxqueue_core.service.log import get_logger

from .error_log import ErrorLog
from .loop import Loop
from .outages import Outages
from .queues import Registry
from .shard import CLIENT_NAME, Shard

# Seconds between two looks at the cluster, and between two looks whether a hash slot has moved.
REFRESH_INTERVAL = 1.0
TICK = 0.1


class QueuesOfMaster:
    """The queues that one master has. `Shards` sets the names, so the master's loops
    never ask another master."""

    def __init__(self, register: Callable[[str], None]) -> None:
        self.names: tuple[str, ...] = ()
        self.error = ""
        self._register = register

    def refresh(self, client: RedisClient) -> None:
        """Does nothing: `Shards` sets the names."""

    def register(self, client: RedisClient, name: str) -> bool:
        """Passes the name on to `Shards`, which logs it if it is new."""
        self._register(name)
        return False


class Shards:
    """The shards of a cluster.

    Args:
        make: makes a shard, not started, from its queues, its master, and the function
            to call when a hash slot has moved.
    """

    def __init__(
        self,
        settings: Settings,
        make: Callable[[QueuesOfMaster, Node, Callable[[], None]], Shard],
        error_log: ErrorLog,
    ) -> None:
        self._topology = Topology(settings, client_name=CLIENT_NAME)
        self._namespace = settings.namespace
        self._make = make
        self._error_log = error_log
        self._stop = threading.Event()
        self._loop = Loop("topology", self._step, self._stop, Outages(), error_log)
        self._shards: dict[Node, Shard] = {}
        self._ending: list[Shard] = []
        self._lock = threading.Lock()
        self._registry = Registry(error_log)
        self._unread = ""
        self._found: set[str] = set()
        self._moved = threading.Event()
        self._next = 0.0

    def start(self) -> None:
        """Starts the thread that starts the shards."""
        self._loop.start()

    def current(self) -> Sequence[Shard]:
        """Returns the shards that are at work."""
        with self._lock:
            return list(self._shards.values())

    @property
    def loops(self) -> Sequence[Loop]:
        """All threads."""
        return [self._loop, *(loop for shard in self.current() for loop in shard.loops)]

    @property
    def error(self) -> str:
        """Why the names of the queues can't be read; empty if they can."""
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
        """Starts the shards of new masters; ends the shards of former masters."""
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
        """Brings the names up to date. They stay as they are while the master that has
        the registry does not answer."""
        owner = self._topology.owner(key("queues", namespace=self._namespace))
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
                    self._error_log.report_queue(name, "register it", error)
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
        """Gives each shard the names of its queues, including queues that could not be
        registered yet."""
        with self._lock:
            names = {*self._registry.names, *self._found}
        of_master: dict[Node, list[str]] = {node: [] for node in self._shards}
        for name in sorted(names):
            owner = self._topology.owner(key("pending", name, namespace=self._namespace))
            if owner is None:
                self._error_log.report(
                    "queue.not_served",
                    name,
                    queue=name,
                    error="no master of the cluster has its hash slot",
                )
            else:
                of_master[owner].append(name)
        for node, shard in self._shards.items():
            shard.queues.names = tuple(of_master[node])

    def stop(self) -> None:
        """Ends each loop after its current call, and closes the connections."""
        self._stop.set()
        self._loop.join()
        shards = [*self._shards.values(), *self._ending]
        for shard in shards:
            shard.end()
        for shard in shards:
            shard.stop()
        self._topology.close()
