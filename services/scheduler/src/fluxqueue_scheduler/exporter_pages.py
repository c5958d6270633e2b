"""Adds the pages of the exporter to the health endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fluxqueue_core.service.health import HealthServer

from .backlog import Backlog
from .exporter import Exporter
from .shard import Reader


def add_pages(
    server: HealthServer, readers: Callable[[], Iterable[Reader]], namespace: str
) -> None:
    """Serves `/backlog`, and the numbers of the queues at `/metrics`, with those of telemetry if
    that is on."""
    exporter = Exporter(readers, namespace)
    of_telemetry = server.metrics

    def metrics() -> tuple[str, bytes]:
        kind, text = exporter.page()
        found = None if of_telemetry is None else of_telemetry()
        return (kind, text) if found is None else (found[0], text + found[1])

    server.metrics = metrics
    server.pages["/backlog"] = Backlog(readers).page
