"""TLS in front of a Redis: it takes `rediss://` and passes the plain bytes on.

    with TlsProxy(redis_port) as proxy:
        ...  # connect to f"rediss://localhost:{proxy.port}?ssl_ca_certs={AUTHORITY}"

Both sides show the certificate of `localhost`; its key is public, and no use but here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Self

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = CERTIFICATES / "authority.pem"
# Certificate and key in one file.
LOCALHOST = CERTIFICATES / "localhost.pem"
# Certificates with a fault each, with their keys, made by `openssl ca`. `signer.pem` has signed
# those that have not signed themselves.
FAULTS = CERTIFICATES / "faults"


class TlsProxy:
    """Two threads for each connection.

    Args:
        asks_for_certificate: whether clients must show a certificate as well.
        shows: the file of its certificate and key.
    """

    def __init__(
        self, redis_port: int, *, asks_for_certificate: bool = False, shows: Path = LOCALHOST
    ) -> None:
        self._redis_port = redis_port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(AUTHORITY))
        self._context.load_cert_chain(shows)
        if asks_for_certificate:
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        # `close` alone leaves the port open as long as a thread waits in `accept`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            # A refused certificate is an OSError as well: the client sees it.
            contextlib.suppress(OSError),
            self._context.wrap_socket(client, server_side=True) as secured,
            socket.create_connection(("127.0.0.1", self._redis_port)) as redis,
        ):
            back = threading.Thread(target=_pump, args=(redis, secured), daemon=True)
            back.start()
            _pump(secured, redis)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Forwards bytes until one side closes, then closes the other."""
    with contextlib.suppress(OSError):
        while data := source.recv(64 * 1024):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
