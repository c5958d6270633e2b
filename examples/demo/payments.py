"""A payment provider on this machine, which is too busy for the first requests."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class PaymentProvider:
    """Serves HTTP while the `with` block runs.

    Args:
        refusals: how many requests get a 503 before the first success.

    Attributes:
        requests: how many have arrived.
        charges: the charges, by idempotency key.
    """

    def __init__(self, refusals: int) -> None:
        self.requests = 0
        self.charges: dict[str, Any] = {}
        self._refusals = refusals
        self._lock = threading.Lock()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = provider._charge(self.headers["Idempotency-Key"], body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                pass  # the demo's table shows the result

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/charges"

    def _charge(self, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.requests += 1
            if self.requests <= self._refusals:
                return 503, {"error": "too busy, try again later"}
            self.charges.setdefault(key, body)
            return 200, {"charged": self.charges[key]}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
