"""A master, its replicas and their sentinels: real servers.

with RedisSentinel(folder) as servers:
    FluxQueue(servers.url)
    servers.kill_master()            # as in a crash
    servers.wait_until_healthy()     # a replica has become the master
    servers.failover()               # as an operator asks for it
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import redis

from .ports import HOST, free_ports
from .redis_process import RedisProcess, RedisProcesses, start_all
from .waiting import wait_until

SERVICE = "tasks"
# Milliseconds after which a sentinel believes that a server is down. On a busy machine
# a server may stand still for a while; the test would not expect a failover then.
DOWN_AFTER = 1_500
FAILOVER_TIMEOUT = 3_000
PATIENCE = 60.0


class RedisSentinel(RedisProcesses):
    """See the module's text.

    Args:
        folder: for the servers' files; must not exist.
        replicas: how many there are in addition to the master.
        sentinels: how many; more than half of them agree on a failover.
        password: of the master and the replicas.
        sentinel_password: of the sentinels.
        tls: whether all speak TLS, and nothing else.
        options: more of redis.conf, for master and replicas.
        binary: redis-server; the one on PATH if None.

    Attributes:
        servers: master and replicas, in the order in which they were started.
        sentinels: the sentinels.
    """

    def __init__(
        self,
        folder: Path,
        *,
        replicas: int = 2,
        sentinels: int = 3,
        password: str | None = None,
        sentinel_password: str | None = None,
        tls: bool = False,
        options: dict[str, object] | None = None,
        binary: str | None = None,
    ) -> None:
        ports = free_ports(1 + replicas + sentinels)
        host = "localhost" if tls else HOST
        named: dict[str, object] = {"replica-announce-ip": host} if tls else {}
        common: dict[str, object] = {
            "save": "",
            "appendonly": "yes",
            # A kill loses nothing by that, and no slow disk stops a server for longer
            # than the others wait for it.
            "appendfsync": "no",
            "repl-diskless-sync-delay": 0,
            **named,
            **(options or {}),
        }
        self.servers: list[RedisProcess] = []
        for port in ports[: 1 + replicas]:
            role = {"replicaof": f"{host} {ports[0]}"} if self.servers else {}
            self.servers.append(
                RedisProcess(
                    folder / f"server-{port}",
                    port,
                    common | role,
                    password=password,
                    tls=tls,
                    binary=binary,
                )
            )
        lines = [
            *(["sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"] if tls else []),
            f"sentinel monitor {SERVICE} {host} {ports[0]} {sentinels // 2 + 1}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
            f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT}",
        ]
        if password:
            lines.append(f"sentinel auth-pass {SERVICE} {password}")
        self.sentinels = [
            RedisProcess(
                folder / f"sentinel-{port}",
                port,
                {},
                lines=lines,
                password=sentinel_password,
                sentinel=True,
                tls=tls,
                binary=binary,
            )
            for port in ports[1 + replicas :]
        ]

    @property
    def url(self) -> str:
        """`redis+sentinel://...`, with the passwords."""
        first = self.servers[0].password
        credentials = f":{first}@" if first else ""
        nodes = ",".join(sentinel.address for sentinel in self.sentinels)
        other = self.sentinels[0].password
        query = [f"sentinel_password={other}"] if other else []
        scheme = "redis"
        if "ssl" in self.servers[0].how:
            scheme = "rediss"
            query.append(f"ssl_ca_certs={self.servers[0].how['ssl_ca_certs']}")
        text = f"{scheme}+sentinel://{credentials}{nodes}/{SERVICE}"
        return "?".join(filter(None, [text, "&".join(query)]))

    def start(self) -> None:
        start_all(self.servers)
        # A sentinel asks a master every ten seconds which replicas it has.
        master = self.servers[0]
        wait_until(
            lambda: all(self._follows(replica, master) for replica in self.servers[1:]),
            PATIENCE,
            lambda: f"replicas that follow; {self.report()}",
        )
        start_all(self.sentinels)
        for sentinel in self.sentinels:
            _set_periods(sentinel, info=100, ping=100, publish=100)
        self.wait_until_healthy()
        for sentinel in self.sentinels:
            # A sentinel that has not heard of a failover for four periods of
            # `publish` would undo it. It promotes no replica whose INFO is older
            # than three of `info`, or five of `ping` where the master is down, and
            # asks for it once a second while a replica has no link to its master
            # (`sentinelSelectSlave` and `sentinelSendPeriodicCommands` in
            # redis/src/sentinel.c).
            _set_periods(sentinel, publish=500, ping=1000, info=500)

    def processes(self) -> list[RedisProcess]:
        # The sentinels first: there is no failover at the end.
        return [*self.sentinels, *self.servers]

    def master(self) -> RedisProcess:
        """The server that the first running sentinel calls the master."""
        sentinel = next(s for s in self.sentinels if s.running)
        _, port = sentinel.client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    def replicas(self) -> list[RedisProcess]:
        """The other servers that run."""
        master = self.master()
        return [server for server in self.servers if server is not master and server.running]

    def client(self) -> Any:
        """A redis-py client of today's master, for assertions; close it."""
        return redis.Redis(**self.master().how)

    def failover(self) -> RedisProcess:
        """As an operator asks for it; returns the new master, which all sentinels
        know. The old one has become a replica of it."""
        old = self.master()
        sentinel = next(s for s in self.sentinels if s.running)

        def is_over() -> bool:
            if self.master() is not old:
                return self._is_healthy()
            try:
                # Repeatedly: a sentinel that has not heard lately from any replica gives
                # an accepted failover up.
                sentinel.client.execute_command("SENTINEL FAILOVER", SERVICE)
            except redis.ResponseError as error:
                # The lack of a replica, or a failover that is under way.
                if "NOGOODSLAVE" not in str(error) and "INPROG" not in str(error):
                    raise
            return False

        wait_until(is_over, PATIENCE, lambda: f"a failover; {self.report()}", interval=0.1)
        return self.master()

    def wait_for_replicas(self) -> None:
        """Waits until the replicas have what the master has now: a failover promotes
        one as it is, and what it had not got is lost, acknowledged or not."""
        with self.client() as client:
            wanted = client.info("replication")["master_repl_offset"]

            def behind() -> list[Any]:
                said = client.info("replication")
                replicas = [said[f"slave{n}"] for n in range(said["connected_slaves"])]
                return [one for one in replicas if one["offset"] < wanted] if replicas else [None]

            wait_until(lambda: not behind(), PATIENCE, lambda: f"replicas at {wanted}; {behind()}")

    def kill_master(self) -> RedisProcess:
        """SIGKILL; returns the killed server at once. `start` it again to have it
        as a replica."""
        master = self.master()
        master.kill()
        return master

    def wait_for_failover(self, old: RedisProcess) -> RedisProcess:
        """Waits until another server than `old` is the master; returns it."""
        wait_until(
            lambda: self.master() is not old and self._is_healthy(),
            PATIENCE,
            lambda: f"a failover; {self.report()}",
        )
        return self.master()

    def wait_until_healthy(self) -> None:
        """The running sentinels agree on a running master and know each other; the
        running replicas follow it."""
        wait_until(self._is_healthy, PATIENCE, lambda: f"healthy servers; {self.report()}")

    def _is_healthy(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            master = self.master()
            if not master.running or master.client.info("replication")["role"] != "master":
                return False
            return all(self._follows(replica, master) for replica in self.replicas()) and all(
                self._knows(sentinel, master) for sentinel in self.sentinels if sentinel.running
            )
        return False

    def _follows(self, replica: RedisProcess, master: RedisProcess) -> bool:
        info = replica.client.info("replication")
        return bool(
            info["role"] == "slave"
            and info["master_port"] == master.port
            and info["master_link_status"] == "up"
        )

    def _knows(self, sentinel: RedisProcess, master: RedisProcess) -> bool:
        words = sentinel.client.execute_command("SENTINEL MASTER", SERVICE)
        if not isinstance(words, dict):
            words = dict(zip(words[::2], words[1::2], strict=True))
        flags = words["flags"] if isinstance(words["flags"], str) else ",".join(words["flags"])
        others = sum(s.running for s in self.sentinels) - 1
        return (
            int(words["port"]) == master.port
            and "down" not in flags
            and "failover" not in flags
            and int(words["num-other-sentinels"]) >= others
            and int(words["num-slaves"]) >= len(self.replicas())
        )

    def report(self) -> str:
        """The ends of all logs."""
        every = [*self.servers, *self.sentinels]
        return "\n".join(
            f"{process}, running: {process.running}\n{process.log()}" for process in every
        )


def _set_periods(sentinel: RedisProcess, **milliseconds: int) -> None:
    """Sets how often a sentinel asks and tells. Redis before version 7 refuses that."""
    for name, value in milliseconds.items():
        with contextlib.suppress(redis.ResponseError):
            sentinel.client.execute_command("SENTINEL DEBUG", f"{name}-period", value)
