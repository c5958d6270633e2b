"""The pages that live: the overview, and one queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fluxqueue_control import pausing, purge, queues
from fluxqueue_control.purge import PARTS
from fluxqueue_control.servers import Servers
from fluxqueue_control.stats import Window
from fluxqueue_core import check_queue_name
from fluxqueue_core.errors import ConfigurationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .context import Dashboard, context_of
from .formats import size
from .rendering import address
from .snapshot import Snapshot
from .tiles import Tile, graphs, tiles
from .worker_pages import process_slots, running_tasks, worker_processes

# Rows of the table of task names.
_MOST_NAMES = 50


@dataclass(frozen=True, slots=True)
class NamedRate:
    """How the attempts of the tasks of one name have ended in the last minute.

    Attributes:
        rate: per second.
        failed: the share that did not succeed.
        mean: how long one ran, seconds.
    """

    name: str
    rate: float
    failed: float
    mean: float


async def overview(request: Request) -> Response:
    """The queues, and how much is in them."""
    context = context_of(request)
    values = overview_values(context, await context.hub.now())
    return context.renderer.page(
        request,
        "overview.html",
        section="overview",
        live="/live?view=overview",
        **values,
    )


async def queue(request: Request) -> Response:
    """One queue: its tasks, its workers, and what can be changed."""
    context = context_of(request)
    name = queue_name(request)
    snapshot = await context.hub.now()
    counts, is_paused = await context.ask(_counts, name)
    return context.renderer.page(
        request,
        "queue.html",
        section="overview",
        live=address("/live", view="queue", name=name),
        parts=counts,
        **queue_values(context, snapshot, name) | {"is_paused": is_paused},
    )


def queue_name(request: Request, parameter: str = "name") -> str:
    """Returns the queue that the address names.

    Raises:
        HTTPException: it is not a queue's name.
    """
    name: str = request.query_params.get(parameter, "")
    try:
        check_queue_name(name)
    except ConfigurationError as error:
        raise HTTPException(404, str(error)) from None
    return name


def overview_values(context: Dashboard, snapshot: Snapshot) -> dict[str, Any]:
    """Returns what the overview shows."""
    rows = sorted(snapshot.queues, key=lambda each: (-(each.lengths.pending or 0), each.name))
    slots = sum(process_slots(snapshot.queues).values())
    known = [p.memory for p in worker_processes(snapshot.queues) if p.memory is not None]
    note = f"{slots} slots" + (f", {size(sum(known))}" if known else "")
    alive = len(snapshot.processes)
    return {
        "tiles": [
            *tiles(context.past, snapshot, None),
            Tile("Workers", "workers", alive, note=note, link="/workers"),
        ],
        "queues": rows,
        "left_out": snapshot.left_out,
        "error": snapshot.error,
        **graphs(context.past, None),
    }


def queue_values(context: Dashboard, snapshot: Snapshot, name: str) -> dict[str, Any]:
    """Returns what the page of a queue shows."""
    found = snapshot.queue(name)
    serving = [] if found is None else [w for w in found.workers if w.state != "tombstone"]
    alive = 0 if found is None else found.alive
    slots = 0 if found is None else found.slots
    return {
        "name": name,
        "tiles": [
            *tiles(context.past, snapshot, name),
            Tile("Workers", "workers", alive, note=f"{slots} slots"),
        ],
        "is_paused": found is not None and found.is_paused,
        "alive": alive,
        "workers": sorted(serving, key=lambda w: (str(w.identity.get("host")), w.consumer)),
        "running": running_tasks(found),
        "counts": any(worker.report is not None for worker in serving),
        "names": [] if found is None or found.window is None else named_rates(found.window),
        "error": snapshot.error,
        **graphs(context.past, name),
    }


def named_rates(window: Window) -> list[NamedRate]:
    """Returns the numbers of each task name, the most frequent first."""
    rows = []
    for name, ends in window.numbers.tasks.items():
        total = ends.succeeded + ends.retried + ends.dead
        if total:
            failed = (ends.retried + ends.dead) / total
            rows.append(NamedRate(name, total / window.seconds, failed, ends.ran / total))
    return sorted(rows, key=lambda each: (-each.rate, each.name))[:_MOST_NAMES]


def _counts(servers: Servers, name: str) -> tuple[list[tuple[str, int | None]], bool]:
    """How many tasks a purge of each part would remove, and whether the queue is paused."""
    client = servers.of_queue(name)
    found = queues.read_lengths(client, [name])[name]
    waiting = purge.count(client, name, "waiting")
    numbers = {"waiting": waiting, "delayed": found.delayed, "dead": found.dead}
    is_paused = pausing.read_paused(client, [name])[name]
    return [(part, numbers[part]) for part in PARTS], is_paused
