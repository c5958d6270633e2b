"""A small HTTP endpoint for probes of a long-running process.

    /livez     200, or 503 when the process is stuck and only a restart helps
    /readyz    200, or 503 for that, while Redis is down, or while it drains
    /metrics   what `HealthServer.metrics` returns; 404 without it
    others     those of `HealthServer.pages`

The body of the first two is JSON: `{"status": "ok"}`, or
`{"status": "unavailable", "reasons": ["..."]}`.

It uses sockets, because `http.server` would add 5 MiB to a worker of 10. It answers
GET and HEAD, one request per connection, and reads no body.

Why: docs/decisions/0018-what-a-probe-is-told.md
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from time import monotonic, sleep

from fluxqueue_core import json_codec
from fluxqueue_core.errors import ConfigurationError

# The current problems, each in a few words; empty if there are none.
Check = Callable[[], list[str]]
# The content type and the text; None if the process has no metrics.
Metrics = Callable[[], tuple[str, bytes] | None]
# Takes what follows the `?`; returns the status, the content type and the body.
Page = Callable[[str], tuple[int, str, bytes]]

# The seconds that a client has for its request, and the most bytes that it may send.
PATIENCE = 2.0
LONGEST_REQUEST = 8192
# The most requests that it serves at once. Others wait in the kernel's queue.
MOST_AT_ONCE = 8

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class HealthServer:
    """The endpoint. It listens from its creation on, and answers from `start`
    until `close`, in daemon threads.

    Args:
        host: the address to listen on.
        port: 0 takes a free one.
        live, ready: called for each request, by any thread.
        listener: an existing listening socket.

    Attributes:
        port: the port that it listens on.
        metrics: may be set at any time.
        pages: further pages by their paths.

    Raises:
        ConfigurationError: it can't listen there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        live: Check,
        ready: Check,
        listener: socket.socket | None = None,
    ) -> None:
        self.metrics: Metrics | None = None
        self.pages: dict[str, Page] = {}
        self._checks = {"/livez": live, "/readyz": ready}
        self._socket = listener if listener is not None else _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._permits = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._closed = False
        # A process that a task forks must not hold the port.
        os.register_at_fork(after_in_child=self._socket.close)

    def start(self) -> None:
        """Answers from now on, including earlier requests."""
        threading.Thread(target=self._serve, name="fluxqueue-health", daemon=True).start()

    def close(self) -> None:
        """Answers nothing more."""
        self._closed = True
        # Wakes the thread that waits in `accept`.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while not self._closed:
            self._permits.acquire()
            try:
                connection, _ = self._socket.accept()
            except OSError:
                # The socket is closed, or the system has no free descriptor now.
                self._permits.release()
                sleep(0.1)
                continue
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no free thread: answer in this one
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                request = read_request(connection)
                if request:
                    connection.sendall(self._response(request))
        finally:
            self._permits.release()

    def _response(self, request: bytes) -> bytes:
        try:
            method, target, version = request.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        except ValueError:
            return response(400, TEXT, b"not an HTTP request\n")
        if not version.startswith("HTTP/1."):
            return response(505, TEXT, b"this speaks HTTP/1.1\n")
        if method not in ("GET", "HEAD"):
            return response(405, TEXT, b"only GET and HEAD\n")
        path, _, query = target.partition("?")
        status, kind, body = self._resource(path, query)
        return response(status, kind, body, head=method == "HEAD")

    def _resource(self, path: str, query: str) -> tuple[int, str, bytes]:
        try:
            if path in self._checks:
                return report(self._checks[path]())
            if path in self.pages:
                return self.pages[path](query)
            if path == "/metrics" and self.metrics is not None:
                found = self.metrics()
                if found is not None:
                    return (200, *found)
        except Exception as error:  # noqa: BLE001 - a probe must learn of it, not hang
            return report([f"the check itself failed: {type(error).__name__}: {error}"])
        return 404, TEXT, b"there are /livez, /readyz and, if they are on, others\n"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        raise ConfigurationError(
            f"the health endpoint can't listen on {host} port {port}: "
            f"{error.strerror or error}; give another --health-port or --health-host"
        ) from None


def read_request(connection: socket.socket) -> bytes:
    """Reads the request up to the empty line. Returns the bytes so far if the empty line
    does not arrive in time, or if the request is too long."""
    deadline = monotonic() + PATIENCE
    request = b""
    while b"\r\n\r\n" not in request and len(request) < LONGEST_REQUEST:
        left = deadline - monotonic()
        if left <= 0:
            break
        connection.settimeout(left)
        try:
            chunk = connection.recv(LONGEST_REQUEST)
        except TimeoutError:
            break
        if not chunk:
            break
        request += chunk
    connection.settimeout(PATIENCE)
    return request


def report(reasons: list[str]) -> tuple[int, str, bytes]:
    """Returns the status, the content type and the body for these problems."""
    if not reasons:
        return 200, JSON, b'{"status":"ok"}\n'
    return 503, JSON, json_codec.dumps({"status": "unavailable", "reasons": reasons}) + b"\n"


REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


def response(status: int, kind: str, body: bytes, head: bool = False) -> bytes:
    """Returns the bytes of a response that closes the connection."""
    allow = "Allow: GET, HEAD\r\n" if status == 405 else ""
    lines = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n{allow}Connection: close\r\n\r\n"
    )
    return lines.encode() + (b"" if head else body)
