"""The page `/backlog`: how many tasks there are for workers to do, as JSON for an autoscaler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

from fluxqueue_control.errors import UNAVAILABLE
from fluxqueue_control.queues import read_lengths
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import json_codec
from fluxqueue_core.errors import ConfigurationError
from redis.exceptions import ResponseError

from .shard import Reader

JSON = "application/json"
# Tasks that are due within this many seconds count as work, unless the query says otherwise.
SOON = 30.0
LONGEST_SOON = 86_400.0
MOST_QUEUES = 100


class Backlog:
    """Answers `?queue=mails&queue=pictures&soon=30`.

    Args:
        readers: the servers that can be read.
    """

    def __init__(self, readers: Callable[[], Iterable[Reader]]) -> None:
        self._readers = readers
        self._lock = threading.Lock()

    def page(self, query: str) -> tuple[int, str, bytes]:
        """Returns the status, the content type and the body."""
        values = parse_qs(query)
        names = values.get("queue", [])
        try:
            soon = float(values.get("soon", [SOON])[-1])
        except ValueError:
            soon = -1.0
        if not names or len(names) > MOST_QUEUES or not 0 <= soon <= LONGEST_SOON:
            text = f"name 1 to {MOST_QUEUES} queues, and soon=0 to {LONGEST_SOON:.0f}"
            return 400, JSON, json_codec.dumps({"error": f"{text}: /backlog?queue=mails&soon=30"})
        try:
            counts = self._count(set(names), soon)
        except ConfigurationError as error:
            return 400, JSON, json_codec.dumps({"error": str(error)})
        except (ResponseError, *UNAVAILABLE) as error:
            # An autoscaler keeps what it has if the page fails; zeros would end workers.
            return 503, JSON, json_codec.dumps({"error": f"Redis can't be read: {error}"})
        return 200, JSON, json_codec.dumps({**counts, "total": sum(counts.values())})

    def _count(self, wanted: Iterable[str], soon: float) -> dict[str, int]:
        counts = dict.fromkeys(("ready", "due", "running"), 0)
        for queue in wanted:
            for name, count in self._counts_of(queue, soon).items():
                counts[name] += count
        return counts

    def _counts_of(self, queue: str, soon: float) -> dict[str, int]:
        """Asks the server that has the queue. One that no worker has served is in no registry: it
        may be on any master of a cluster."""
        readers = list(self._readers())
        own = [reader for reader in readers if queue in reader.queues.names]
        for reader in own or readers:
            with reader.lock:
                counts = _read(reader.client, queue, soon)
            if counts is not None:
                return counts
        raise ResponseError(f"no server can read the queue {queue!r}")


def _read(client: RedisClient, queue: str, soon: float) -> dict[str, int] | None:
    """None: another server has the queue, or one of its keys has another type."""
    lengths = read_lengths(client, [queue])[queue]
    if lengths.pending is None or lengths.suspects is None or lengths.claimed is None:
        return None
    time = client.command("TIME")
    until = int(time[0]) * 1_000 + int(time[1]) // 1_000 + round(soon * 1_000)
    due = client.command("ZCOUNT", client.key("delayed", queue), "-inf", until)
    return {
        "ready": lengths.pending + lengths.suspects,
        "due": int(due),
        "running": lengths.claimed,
    }
