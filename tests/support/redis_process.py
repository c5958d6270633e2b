"""A server with its own configuration file: a node of a cluster, a replica, a sentinel.

`EmbeddedRedis` has no password, and no file that the server may rewrite.
"""

from __future__ import annotations

import signal
import subprocess
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import redis
from fluxqueue.child_process import bound_to_parent
from fluxqueue.redis_binary import redis_server_path

from .ports import HOST, release
from .waiting import wait_until

# For `localhost`, signed by itself.
CERTIFICATES = Path(__file__).parent / "tls"


def tls_options(port: int) -> dict[str, object]:
    """Options of a server that speaks TLS alone, to other servers as well. Its
    certificate is one for `localhost`."""
    return {
        "port": 0,
        "tls-port": port,
        "tls-cert-file": CERTIFICATES / "localhost.pem",
        "tls-key-file": CERTIFICATES / "localhost.key",
        "tls-ca-cert-file": CERTIFICATES / "localhost.pem",
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }


class RedisProcess:
    """A server on 127.0.0.1 that ends with this process.

    Args:
        port: of `free_ports`; it is released when this object is gone.
        folder: for its configuration, its data and its log.
        options: as in redis.conf.
        lines: further lines of redis.conf, such as those of a sentinel.
        sentinel: whether it is one.
        tls: whether it speaks TLS, and nothing else.
        binary: the one on PATH if None.

    Attributes:
        how: arguments of redis-py to connect by.
        client: a redis-py client with no retries.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        options: Mapping[str, object],
        *,
        lines: Iterable[str] = (),
        password: str | None = None,
        sentinel: bool = False,
        tls: bool = False,
        binary: str | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = port
        weakref.finalize(self, release, port)
        self.host = "localhost" if tls else HOST
        self.address = f"{self.host}:{port}"
        self.password = password
        self._sentinel = sentinel
        self._binary = binary or redis_server_path()
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        every: dict[str, object] = {
            "bind": HOST,
            "port": port,
            "dir": folder,
            "logfile": folder / "redis.log",
        }
        if password:
            every["requirepass"] = password
            if not sentinel:
                every["masterauth"] = password
        if tls:
            every |= tls_options(port)
        empty = '""'
        settings = [
            f"{name} {empty if value == '' else value}"
            for name, value in {**every, **options}.items()
        ]
        (folder / "redis.conf").write_text("\n".join([*settings, *lines, ""]))
        self.how: dict[str, Any] = {"host": self.host, "port": port, "password": password}
        if tls:
            self.how |= {"ssl": True, "ssl_ca_certs": str(CERTIFICATES / "localhost.pem")}
        self.client: Any = redis.Redis(**self.how, decode_responses=True, socket_timeout=5)

    @property
    def pid(self) -> int:
        assert self._process is not None, "it has not been started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs and does not hang."""
        return self._process is not None and self._process.poll() is None and not self._paused

    def launch(self) -> None:
        """Starts it (again); it does not answer yet. The thread that calls this
        must live as long as the server."""
        assert not self.running
        command = [self._binary, str(self.folder / "redis.conf")]
        if self._sentinel:
            command.append("--sentinel")
        self._process = subprocess.Popen(
            bound_to_parent(command, signal.SIGKILL),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def wait_until_it_answers(self) -> None:
        """Its data are loaded."""
        wait_until(self._answers, what=lambda: f"an answer of {self.address}; {self.log()}")

    def start(self) -> None:
        self.launch()
        self.wait_until_it_answers()

    def _answers(self) -> bool:
        assert self.running, self.log()
        try:
            info = self.client.info()
        except redis.RedisError:
            return False
        assert info["process_id"] == self.pid, f"another server has port {self.port}"
        return not info.get("loading")

    def kill(self) -> None:
        """SIGKILL, as in a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: its data are on disk, and a master has told its replicas all."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: it hangs, and its connections stay open."""
        self._signal(signal.SIGSTOP)
        self._paused = True

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self._paused = False

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, how: int) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._signal(how)
            self.go_on()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.client.connection_pool.disconnect()

    def log(self) -> str:
        """The last lines of its log."""
        try:
            lines = (self.folder / "redis.log").read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(lines[-20:])

    def __repr__(self) -> str:
        return f"<{'sentinel' if self._sentinel else 'redis'} {self.address}>"


class RedisProcesses(ABC):
    """Servers that belong together: started at the beginning of a `with` block, killed
    at its end, even if one has not started."""

    @abstractmethod
    def start(self) -> None:
        """Starts all, and returns when they serve together."""

    @abstractmethod
    def processes(self) -> Sequence[RedisProcess]:
        """All, in the order in which they are killed."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill_all()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill_all()

    def kill_all(self) -> None:
        for process in self.processes():
            process.kill()


def start_all(processes: Iterable[RedisProcess]) -> None:
    """Starts them side by side."""
    every = list(processes)
    for process in every:
        process.launch()
    for process in every:
        process.wait_until_it_answers()
