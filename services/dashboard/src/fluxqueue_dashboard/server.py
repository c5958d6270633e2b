"""Serves the dashboard with uvicorn."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from types import FrameType

import uvicorn
from fluxqueue_core import Settings
from fluxqueue_core.service.log import get_logger
from fluxqueue_core.service.process import adopt_standard_logging

from .access import Access
from .app import build
from .context import Dashboard
from .options import Options
from .redaction import Redact

# Seconds for the answers that are under way at the end.
_GRACE = 3


class _Server(uvicorn.Server):
    """Ends the live pages before it waits for the others."""

    def __init__(self, config: uvicorn.Config, context: Dashboard, address: str) -> None:
        super().__init__(config)
        self._context = context
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            get_logger().info("dashboard.started", url=self._address)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends with the exit code 0. uvicorn would send the signal to itself again at the end."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._context.end_live_pages()
        await super().shutdown(sockets)


def serve(
    settings: Settings, options: Options, access: Access, hosts: Sequence[str], redact: Redact
) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    adopt_standard_logging()
    app, context = build(settings, access, hosts, redact, options.trace_url)
    try:
        listening = _listen(options.host, options.port)
    except OSError as error:
        reason = error.strerror or str(error)
        get_logger().error("dashboard.no_address", host=options.host, port=options.port, why=reason)
        return 1
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        # The address of the connection tells a trusted proxy, not a header.
        proxy_headers=False,
        root_path=options.root_path.rstrip("/"),
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{listening.getsockname()[1]}{config.root_path}"
    with listening:
        _Server(config, context, address).run([listening])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises:
        OSError: the name is unknown, or the port is taken.
    """
    [found, *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listening = socket.socket(found[0], found[1])
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening
