"""Examines an installation: Redis, schedulers, workers and queues. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fluxqueue_control.registry import read_names
from fluxqueue_control.servers import Servers

from .diagnosis import Diagnosis, Status, worst
from .queue_checks import examine_queues
from .server_checks import examine_server
from .traffic import examine_traffic

__all__ = ["Diagnosis", "Status", "examine", "worst"]


def examine(
    servers: Servers, queues: Sequence[str] = (), *, seconds: float = 1.0
) -> Iterator[Diagnosis]:
    """Yields what it finds, one diagnosis or more for each thing that it looks at.

    If this user of Redis may not read something, the diagnosis has the status `unknown` and names
    the right.

    Args:
        queues: the queues to look at; by default all that a worker has served.
        seconds: how long to count the commands that Redis gets.

    Raises:
        ConfigurationError: a queue's name is not valid.
        NoCluster: the server is not a node of a cluster.
        ResponseError: Redis refused to name the queues.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    registry = servers.of_registry()
    names = list(queues) or list(read_names(registry).names)
    by_server = servers.of_queues(names)
    if not any(client is registry for client, _ in by_server):
        by_server.append((registry, []))
    several = len(by_server) > 1
    for client, some in by_server:
        found = [*examine_server(client), *examine_queues(client, some)]
        found += examine_traffic(client, some, seconds)
        for diagnosis in found:
            yield replace(diagnosis, server=client.address) if several else diagnosis
    if not names:
        yield Diagnosis(
            "queues",
            "notice",
            "no worker has served a queue of this namespace yet",
            "start one by `fluxqueue start`, or name the right --namespace",
        )
