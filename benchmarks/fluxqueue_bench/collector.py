"""A collector of OTLP over HTTP that takes everything and keeps nothing.

Its processor time is the benchmark's own, not that of the measured process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# No spans are on their way any more if nothing has come for this long, in seconds.
_QUIET = 1.5


class Collector(ThreadingHTTPServer):
    """
    Attributes:
        url: for OTEL_EXPORTER_OTLP_ENDPOINT.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.heard = time.monotonic()

    def wait_until_quiet(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Waits until no exporter sends any more."""
        self.heard = time.monotonic()
        while (left := self.heard + _QUIET - time.monotonic()) > 0:
            sleep(left)


class _Taker(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.heard = time.monotonic()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[Collector]:
    """Serves until the block ends."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
