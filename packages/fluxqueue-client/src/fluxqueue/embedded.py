"""A Redis server that this process runs, for development, demonstrations and tests."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from .child_process import bound_to_parent
from .redis_binary import RedisNotFound, redis_server_path

__all__ = ["EmbeddedRedis", "RedisNotFound", "RedisNotStarted"]

_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_ATTEMPTS = 5


class RedisNotStarted(RuntimeError):
    """redis-server ended, or did not answer in time. The text has its last log lines."""


class EmbeddedRedis:
    """A redis-server on 127.0.0.1 that ends with this process.

    It has an append-only file and takes no snapshots. It runs in a separate
    process group, so that Ctrl+C does not reach it, and the kernel stops it when
    this process dies, even by SIGKILL. Don't use it in production: it has no
    password, and every user of the machine can connect.

    Args:
        folder: the folder for its data. By default a temporary folder, which `stop`
            removes. Only one server at a time can use a folder.
        port: the port. 0 takes a free one, which `start` after `kill` or `stop` keeps.
        appendfsync: "always", "everysec" or "no", as in redis.conf.
        options: other options of redis.conf, such as {"databases": "64"}.

    Raises:
        RedisNotFound: `start` found no redis-server.
        RedisNotStarted: `start` could not start the server. The text says why.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        port: int = 0,
        appendfsync: str = "everysec",
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._temporary = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="fluxqueue-redis-")).resolve()
        self._port = port
        self._appendfsync = appendfsync
        self._options = dict(options or {})
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._ended.set()

    @property
    def port(self) -> int:
        """The port. 0 if none was given and `start` was not called yet."""
        return self._port

    @property
    def url(self) -> str:
        """The URL of the server: `redis://127.0.0.1:<port>`."""
        return f"redis://{_HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            RuntimeError: the server does not run.
        """
        if self._process is None or self._ended.is_set():
            raise RuntimeError("the embedded Redis does not run; call start()")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code of the server; negative: the signal that ended it. None while it
        runs."""
        return self._process.returncode if self._process and self._ended.is_set() else None

    def start(self) -> EmbeddedRedis:
        """Starts the server. Returns when it has loaded its data and answers."""
        if not self._ended.is_set():
            return self
        binary = redis_server_path()
        self.folder.mkdir(parents=True, exist_ok=True)
        random_port = self._port == 0
        for attempt in range(_ATTEMPTS):
            if random_port:
                self._port = _free_port()
            try:
                self._launch(binary)
                break
            except RedisNotStarted as error:
                # Another process has taken the port: try another port.
                if not random_port or "in use" not in str(error) or attempt == _ATTEMPTS - 1:
                    if random_port:
                        self._port = 0
                    raise
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Stops the server cleanly, with its data on disk. Does nothing if the server does
        not run, and nothing in a forked child."""
        if os.getpid() != self._owner:
            return
        self._end(signal.SIGTERM)
        atexit.unregister(self.stop)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Ends the server with SIGKILL, like a crash. `start` then loads its file."""
        self._end(signal.SIGKILL)

    def wait(self) -> int | None:
        """Waits until the server has ended for any reason. Returns its exit code."""
        self._ended.wait()
        return self.returncode

    def __enter__(self) -> EmbeddedRedis:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._ended.is_set() else f"pid {self.pid}"
        return f"<EmbeddedRedis {self.url}, {state}>"

    def _command(self, binary: str) -> list[str]:
        options = {
            "bind": _HOST,
            "port": str(self._port),
            "dir": str(self.folder),
            "logfile": "redis.log",
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            **self._options,
        }
        return [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]

    def _launch(self, binary: str) -> None:
        lock = _lock(self.folder)
        started = threading.Event()
        failure: list[OSError] = []
        self._ended = ended = threading.Event()

        def guard() -> None:
            # The kernel ends the server when the thread that started it ends. This thread
            # ends only with the server or the process. The caller's thread may end sooner.
            try:
                self._process = subprocess.Popen(
                    bound_to_parent(self._command(binary)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    process_group=0,
                    pass_fds=(lock,),  # the server holds the lock as long as it lives
                )
            except OSError as error:
                failure.append(error)
            else:
                started.set()
                self._process.wait()
            finally:
                ended.set()
                started.set()

        log = self.folder / "redis.log"
        log.unlink(missing_ok=True)
        threading.Thread(target=guard, name="embedded-redis", daemon=True).start()
        started.wait()
        os.close(lock)
        if failure:
            raise RedisNotStarted(f"{binary} can't be started: {failure[0]}") from failure[0]
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self._port, self._process.pid):
            if ended.wait(0.01):
                raise RedisNotStarted(f"redis-server ended at once: {_last_words(log)}")
            if time.monotonic() > deadline:
                self.kill()
                raise RedisNotStarted(
                    f"redis-server gave no answer in {_START_SECONDS:g} s: {_last_words(log)}"
                )

    def _end(self, how: int) -> None:
        if self._process is None or self._ended.is_set():
            return
        self._process.send_signal(how)
        if not self._ended.wait(_STOP_SECONDS):
            self._process.kill()
            self._ended.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, pid: int) -> bool:
    """Whether this server, and not another one on its port, has loaded its data and
    answers."""
    try:
        with socket.create_connection((_HOST, port), timeout=1) as connection:
            connection.sendall(b"INFO\r\nQUIT\r\n")
            with connection.makefile("rb") as answer:
                lines = answer.read().split(b"\r\n")
    except OSError:
        return False
    return f"process_id:{pid}".encode() in lines and b"loading:0" in lines


def _lock(folder: Path) -> int:
    """Locks the folder. Other servers can't use it until the descriptor is closed."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise RedisNotStarted(
            f"another redis-server uses the folder {folder}; stop it, or give another folder"
        ) from None
    return lock


def _last_words(log: Path) -> str:
    """Returns the last warnings in the log, in which Redis says why it does not start."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    warnings = [line.partition(" # ")[2] for line in lines if " # " in line]
    return "; ".join(warnings[-2:]) or f"see {log}"
