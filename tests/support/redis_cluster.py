"""A Redis Cluster of masters and replicas: real servers.

with RedisCluster(folder) as servers:
    FluxQueue(servers.url)
    node = servers.owner("fluxqueue:{q}:pending")
    servers.failover(node)                  # as an operator asks for it
    servers.kill(servers.owner("{q}"))      # a crash; its replica takes over
    servers.move_hash_slot(servers.hash_slot("{q}"), other)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import redis

from .ports import HOST, free_ports
from .redis_process import RedisProcess, RedisProcesses, start_all
from .waiting import Deadline, wait_until

HASH_SLOTS = 16_384
# Milliseconds after which a node believes that another one is down.
NODE_TIMEOUT = 1_000
PATIENCE = 60.0
# How long Redis may try a failover that was asked for, and a bit more.
ATTEMPT = 6.0
# The certificate is for a name, so clients have to be told names.
TLS = {
    "tls-cluster": "yes",
    "cluster-announce-hostname": "localhost",
    "cluster-preferred-endpoint-type": "hostname",
}


class RedisCluster(RedisProcesses):
    """See the module's text.

    Args:
        folder: for the servers' files; must not exist.
        masters: how many share the hash slots.
        replicas: how many there are of each master.
        password: of all nodes.
        full_coverage: whether all masters refuse to work while one is missing
            (Redis' own default; then a dead master stops all queues).
        tls: whether all speak TLS, and nothing else; from Redis 7 on.
        options: more of redis.conf.
        binary: redis-server; the one on PATH if None.

    Attributes:
        nodes: all of them, the first masters first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        masters: int = 3,
        replicas: int = 1,
        password: str | None = None,
        full_coverage: bool = False,
        tls: bool = False,
        options: dict[str, object] | None = None,
        binary: str | None = None,
    ) -> None:
        self._masters = masters
        common: dict[str, object] = {
            "save": "",
            "appendonly": "yes",
            # A kill loses nothing by that, and no slow disk stops a server for longer
            # than the others wait for it.
            "appendfsync": "no",
            "repl-diskless-sync-delay": 0,
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": NODE_TIMEOUT,
            # A test may pause a replica for long; Redis would no longer promote it.
            "cluster-replica-validity-factor": 0,
            # On a busy machine a node may be silent for longer than the node timeout. Only
            # `kill`, `failover` and `wait_until_healthy` let a replica take over.
            "cluster-replica-no-failover": "yes",
            "cluster-require-full-coverage": "yes" if full_coverage else "no",
            **(TLS if tls else {}),
            **(options or {}),
        }
        self.nodes = [
            RedisProcess(
                folder / f"node-{port}", port, common, password=password, tls=tls, binary=binary
            )
            for port in free_ports(masters * (1 + replicas))
        ]

    @property
    def url(self) -> str:
        """`redis+cluster://...` with the first masters, and the password."""
        password = self.nodes[0].password
        credentials = f":{password}@" if password else ""
        nodes = ",".join(node.address for node in self.nodes[: self._masters])
        how = self.nodes[0].how
        if "ssl" in how:
            return f"rediss+cluster://{credentials}{nodes}?ssl_ca_certs={how['ssl_ca_certs']}"
        return f"redis+cluster://{credentials}{nodes}"

    def start(self) -> None:
        start_all(self.nodes)
        self._create()

    def processes(self) -> list[RedisProcess]:
        return self.nodes

    def _create(self) -> None:
        first = self.nodes[: self._masters]
        for number, node in enumerate(self.nodes):
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(first):
            start, end = (HASH_SLOTS * n // len(first) for n in (number, number + 1))
            node.client.execute_command("CLUSTER ADDSLOTS", *range(start, end))
        ids = {self.id(node): node for node in self.nodes}
        wait_until(
            lambda: not self._introduce(ids),
            PATIENCE,
            lambda: f"nodes that know each other; {self.report()}",
            interval=0.1,
        )
        for number, node in enumerate(self.nodes[self._masters :]):
            node.client.execute_command("CLUSTER REPLICATE", self.id(first[number % len(first)]))
        self.wait_until_healthy()

    def _introduce(self, ids: dict[str, RedisProcess]) -> int:
        """Makes each node meet each node that it does not know, which is faster than
        gossip. Repeats a handshake that took longer than the node timeout. Returns the
        number of meetings."""
        met = 0
        for node in self.nodes:
            for unknown in ids.keys() - self._seen_by(node).keys():
                node.client.execute_command("CLUSTER MEET", HOST, ids[unknown].port)
                met += 1
        return met

    # Roles and ids

    def id(self, node: RedisProcess) -> str:
        """The id of a node that runs."""
        return str(node.client.execute_command("CLUSTER MYID"))

    def _seen_by(self, node: RedisProcess) -> dict[str, list[str]]:
        """The fields of CLUSTER NODES, by id: address, flags, master, ..., hash slots."""
        text = node.client.connection_pool  # a raw reply: redis-py would parse it
        connection = text.get_connection()
        try:
            connection.send_command("CLUSTER", "NODES")
            lines = str(connection.read_response()).splitlines()
        finally:
            text.release(connection)
        return {line.split()[0]: line.split()[1:] for line in lines}

    def running(self) -> list[RedisProcess]:
        return [node for node in self.nodes if node.running]

    def role(self, node: RedisProcess) -> str:
        """`master` or `slave`, as the node itself says."""
        return str(node.client.info("replication")["role"])

    def masters(self) -> list[RedisProcess]:
        """Returns the running nodes that call themselves a master."""
        return [node for node in self.running() if self.role(node) == "master"]

    def replicas(self, master: RedisProcess) -> list[RedisProcess]:
        """Returns the running nodes that follow this master."""
        found = []
        for node in self.running():
            info = node.client.info("replication")
            if info["role"] == "slave" and info["master_port"] == master.port:
                found.append(node)
        return found

    def hash_slot(self, key: str) -> int:
        """Returns the hash slot of a key; pass "{q}" for a queue `q`."""
        return int(self.running()[0].client.execute_command("CLUSTER KEYSLOT", key))

    def owner(self, key: str | int) -> RedisProcess:
        """Returns the master that serves this key or hash slot, as a running master says."""
        hash_slot = key if isinstance(key, int) else self.hash_slot(key)
        for master in self.masters():
            [own] = [f for f in self._seen_by(master).values() if "myself" in f[1]]
            if any(hash_slot in hash_slots for hash_slots in _ranges(own[7:])):
                return master
        raise AssertionError(f"no running master has hash slot {hash_slot}; {self.report()}")

    def queue_on(self, node: RedisProcess, prefix: str = "q") -> str:
        """Returns the name of a queue whose keys that master has."""
        return next(self.queues_on(node, prefix))

    def queues_on(self, node: RedisProcess, prefix: str = "q") -> Iterator[str]:
        """Yields such names without end."""
        number = 0
        while True:
            name = f"{prefix}{number}"
            if self.owner(f"{{{name}}}") is node:
                yield name
            number += 1

    def client(self) -> Any:
        """redis-py's client of the cluster, for assertions; close it."""
        node = self.running()[0]
        # It replaces `localhost` by 127.0.0.1, which the certificate does not name.
        unchecked: dict[str, Any] = {"ssl_check_hostname": False} if "ssl" in node.how else {}
        return redis.RedisCluster(**node.how, **unchecked, socket_timeout=2)

    # Failures and moves

    def wait_for_replicas(self, master: RedisProcess) -> None:
        """Waits until its replicas have everything that it has now. If it dies, writes
        that they lack are lost, even acknowledged ones."""
        wanted = len(self.replicas(master))
        master.client.ping()  # WAIT covers the writes before the client's last command
        wait_until(
            lambda: master.client.wait(wanted, 1_000) >= wanted,
            PATIENCE,
            lambda: f"replicas of {master} that have all; {self.report()}",
        )

    def failover(self, master: RedisProcess) -> RedisProcess:
        """Makes a replica take over, as an operator would, and returns it."""
        [replica, *_] = self.replicas(master)
        self._let_replicas_take_over(True)
        deadline = Deadline(PATIENCE)
        refused: redis.ResponseError | None = None
        while self.role(replica) != "master":
            assert not deadline.over(), f"no failover, {refused}; {self.report()}"
            try:
                replica.client.execute_command("CLUSTER FAILOVER")
            except redis.ResponseError as error:
                # The replica has no link to its master at this moment.
                refused = error
                time.sleep(0.1)
                continue
            # Redis gives up after five seconds, such as when the replica had just to
            # load all of its master's data again.
            with contextlib.suppress(AssertionError):
                wait_until(lambda: self.role(replica) == "master", ATTEMPT)
        self.wait_until_healthy()
        return replica

    def kill(self, node: RedisProcess) -> None:
        """SIGKILL; returns at once. `start` it again to have it as a replica."""
        self._let_replicas_take_over(True)
        node.kill()

    def _let_replicas_take_over(self, allowed: bool) -> None:
        """Decides whether a replica may take the place of its master."""
        for node in self.running():
            with contextlib.suppress(redis.RedisError):
                node.client.config_set("cluster-replica-no-failover", "no" if allowed else "yes")

    def begin_move(self, hash_slot: int, target: RedisProcess) -> RedisProcess:
        """The hash slot is MIGRATING and IMPORTING, no key is moved yet; returns its owner.
        From now on a missing key gets ASK, some of several keys TRYAGAIN."""
        source = self.owner(hash_slot)
        target.client.execute_command("CLUSTER SETSLOT", hash_slot, "IMPORTING", self.id(source))
        source.client.execute_command("CLUSTER SETSLOT", hash_slot, "MIGRATING", self.id(target))
        return source

    def move_keys(self, hash_slot: int, target: RedisProcess, limit: int | None = None) -> int:
        """Moves keys of such a hash slot one by one, all or up to `limit`; returns how many."""
        source = self.owner(hash_slot)
        moved = 0
        auth = ["AUTH", source.password] if source.password else []
        while limit is None or moved < limit:
            keys = source.client.execute_command("CLUSTER GETKEYSINSLOT", hash_slot, 1)
            if not keys:
                break
            source.client.execute_command(
                "MIGRATE", HOST, target.port, "", 0, 5_000, *auth, "KEYS", *keys
            )
            moved += 1
        return moved

    def end_move(self, hash_slot: int, target: RedisProcess) -> None:
        """All know the new owner: the target first, as the documentation says."""
        target_id = self.id(target)
        others = [node for node in self.masters() if node is not target]
        for node in [target, *others]:
            node.client.execute_command("CLUSTER SETSLOT", hash_slot, "NODE", target_id)

    def move_hash_slot(self, hash_slot: int, target: RedisProcess) -> None:
        """Moves a hash slot with its keys, as `redis-cli --cluster reshard` does. Keys that
        come while it goes on are moved as well."""
        source = self.begin_move(hash_slot, target)
        # A key that does not exist is created at the target (ASK), so the source runs
        # out of keys.
        wait_until(
            lambda: self.move_keys(hash_slot, target) == 0,
            PATIENCE,
            lambda: f"hash slot {hash_slot} without keys at {source}",
        )
        self.end_move(hash_slot, target)

    def wait_until_healthy(self) -> None:
        """All running nodes agree on who has which hash slot, each hash slot is one of a node
        that runs, the replicas follow their masters, and no node takes a running node
        for dead. After a `kill` of a master that is: a replica serves in its place,
        and all know. (That it calls itself a master is too early: a client may ask
        another node, which sends it to the dead one.)"""
        self._let_replicas_take_over(True)
        wait_until(self._is_healthy, PATIENCE, lambda: f"a healthy cluster; {self.report()}")
        self._let_replicas_take_over(False)

    def _is_healthy(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            views = []
            running = {self.id(node) for node in self.running()}
            for node in self.running():
                info = node.client.execute_command("CLUSTER INFO")
                if info["cluster_state"] != "ok" or int(info["cluster_slots_ok"]) != HASH_SLOTS:
                    return False
                replication = node.client.info("replication")
                if replication.get("master_link_status", "up") != "up":
                    return False
                # A node's name reaches the others after its address.
                hash_slots = node.client.execute_command("CLUSTER SLOTS")
                if any(server[0] != node.host for row in hash_slots for server in row[2:]):
                    return False
                seen = self._seen_by(node)
                if any("fail" in seen[i][1] for i in running):
                    return False
                views.append(
                    {i: (seen[i][2], tuple(f for f in seen[i][7:] if f[0] != "[")) for i in running}
                )
            # Shortly after a node has died all agree that it serves.
            served = sum(len(r) for _, hash_slots in views[0].values() for r in _ranges(hash_slots))
            return served == HASH_SLOTS and all(view == views[0] for view in views)
        return False

    def report(self) -> str:
        """The view that each node has of the cluster, and the ends of their logs."""
        parts = []
        for node in self.nodes:
            said = ""
            if node.running:
                with contextlib.suppress(redis.RedisError):
                    said = "\n".join(" ".join([i, *f]) for i, f in self._seen_by(node).items())
            parts.append(f"{node}, running: {node.running}\n{said}\n{node.log()}")
        return "\n".join(parts)


def _ranges(fields: Iterable[str]) -> Iterator[range]:
    """`7` and `3-5`; `[93->-id]` says what is on its way, and is left out."""
    for field in fields:
        if field[0] != "[":
            first, _, last = field.partition("-")
            yield range(int(first), int(last or first) + 1)
