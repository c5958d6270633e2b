"""The pages that live: the overview, one queue, and the workers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from fluxqueue_control import pausing, purge, queues
from fluxqueue_control.purge import PLACES
from fluxqueue_control.servers import Servers
from fluxqueue_core import check_queue_name
from fluxqueue_core.errors import ConfigurationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .context import Dashboard, context_of
from .formats import NOTHING
from .graphs import Line
from .live import close
from .rendering import address
from .snapshot import SPAN, QueueNow, Snapshot

# A comment keeps the connection of a quiet page open through a proxy.
_GREETING = "retry: 3000\n\n"


@dataclass(frozen=True, slots=True)
class Tile:
    """A number with its past."""

    label: str
    kind: str
    value: int | None
    past: Sequence[float | None] = ()
    note: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker process, with the conversations that it has about its queues."""

    host: str
    pid: str
    version: str
    state: str
    queues: Sequence[str]
    claimed: int
    slots: str
    lease_left: float


async def overview(request: Request) -> Response:
    """The queues, and how much is in them."""
    context = context_of(request)
    values = _overview(context, await context.hub.now())
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
        places=counts,
        **_queue(context, snapshot, name) | {"is_paused": is_paused},
    )


async def workers(request: Request) -> Response:
    """All worker processes."""
    context = context_of(request)
    values = _workers(await context.hub.now())
    return context.renderer.page(
        request, "workers.html", section="workers", live="/live?view=workers", **values
    )


async def live(request: Request) -> Response:
    """Sends the changing parts of a page, until the viewer leaves."""
    context, root = context_of(request), request.scope.get("root_path", "")
    view, name = request.query_params.get("view"), request.query_params.get("name", "")
    if view not in ("overview", "queue", "workers"):
        raise HTTPException(404)

    async def events() -> AsyncIterator[str]:
        yield _GREETING
        snapshots = context.hub.follow()
        try:
            async for snapshot in snapshots:
                parts = _parts(context, snapshot, view, name, root)
                yield f"data: {json.dumps(parts)}\n\n"
        finally:
            await close(snapshots)

    return StreamingResponse(
        events(),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
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


def _parts(
    context: Dashboard, snapshot: Snapshot, view: str, name: str, root: str
) -> dict[str, str]:
    """The parts of a page, by the ids of their elements."""
    text = context.renderer.text
    if view == "workers":
        values = _workers(snapshot) | {"root": root}
        return {"live-workers": text("worker_table.html", **values)}
    if view == "queue":
        values = _queue(context, snapshot, name) | {"root": root}
        templates = ["tiles.html", "graph.html", "queue_workers.html", "queue_state.html"]
    else:
        values = _overview(context, snapshot) | {"root": root}
        templates = ["tiles.html", "graph.html", "queues.html"]
    ids = {
        "tiles.html": "live-tiles",
        "graph.html": "live-graph",
        "queues.html": "live-queues",
        "queue_workers.html": "live-workers",
        "queue_state.html": "live-state",
    }
    # No part that lives has a form, so it is the same for all roles.
    return {ids[each]: text(each, can_change=False, **values) for each in templates}


def _overview(context: Dashboard, snapshot: Snapshot) -> dict[str, Any]:
    rows = sorted(snapshot.queues, key=lambda each: (-(each.lengths.pending or 0), each.name))
    alive = len(snapshot.processes)
    slots = sum(process_slots(snapshot.queues).values())
    return {
        "tiles": [
            *_tiles(context, snapshot, None),
            Tile("Workers", "workers", alive, note=f"{slots} slots", link="/workers"),
        ],
        "queues": rows,
        "left_out": snapshot.left_out,
        "error": snapshot.error,
        **_graph(context, None),
    }


def _queue(context: Dashboard, snapshot: Snapshot, name: str) -> dict[str, Any]:
    found = snapshot.queue(name)
    serving = [] if found is None else [w for w in found.workers if w.state != "tombstone"]
    return {
        "name": name,
        "tiles": _tiles(context, snapshot, name),
        "is_paused": found is not None and found.is_paused,
        "alive": 0 if found is None else found.alive,
        "workers": sorted(serving, key=lambda w: (str(w.identity.get("host")), w.consumer)),
        "error": snapshot.error,
        **_graph(context, name),
    }


def _tiles(context: Dashboard, snapshot: Snapshot, name: str | None) -> list[Tile]:
    labels = {"pending": "Waiting", "claimed": "Running", "delayed": "Delayed", "dead": "Dead"}
    suspects = snapshot.total("suspects", name)
    notes = {"pending": f"and {suspects} suspects" if suspects else ""}
    links = {"dead": address("/dead", queue=name)}
    return [
        Tile(
            label,
            state,
            snapshot.total(state, name),
            context.hub.past.values(state, name),
            notes.get(state, ""),
            links.get(state, ""),
        )
        for state, label in labels.items()
    ]


def _graph(context: Dashboard, name: str | None) -> dict[str, Any]:
    past = context.hub.past
    labels = {"pending": "waiting", "claimed": "running", "delayed": "delayed"}
    return {
        "times": list(past.times),
        "span": SPAN,
        "lines": [Line(label, state, past.values(state, name)) for state, label in labels.items()],
    }


def _workers(snapshot: Snapshot) -> dict[str, Any]:
    processes = worker_processes(snapshot.queues)
    return {
        "processes": processes,
        "slots": sum(int(each.slots) for each in processes if each.slots.isdecimal()),
        "claimed": sum(each.claimed for each in processes),
        "error": snapshot.error,
    }


def worker_processes(found: Sequence[QueueNow]) -> list[WorkerProcess]:
    """Returns the worker processes; one that names no host and process is one for each queue."""
    rows: dict[tuple[Any, ...], list[tuple[str, Any]]] = {}
    for each in found:
        for worker in each.workers:
            if worker.state == "tombstone":
                continue
            host, pid = worker.identity.get("host"), worker.identity.get("pid")
            known = (str(host), str(pid)) if host and pid else ("unknown", worker.consumer)
            rows.setdefault(known, []).append((each.name, worker))
    return [_process(key, rows[key]) for key in sorted(rows)]


def _process(key: tuple[Any, ...], rows: Sequence[tuple[str, Any]]) -> WorkerProcess:
    identity = rows[0][1].identity
    return WorkerProcess(
        host=key[0],
        pid=str(identity.get("pid", NOTHING)),
        version=str(identity.get("version", NOTHING)),
        state="late" if any(worker.state == "late" for _, worker in rows) else "alive",
        queues=sorted({name for name, _ in rows}),
        claimed=sum(worker.claimed for _, worker in rows),
        slots=str(identity.get("slots", NOTHING)),
        lease_left=min(worker.lease_left for _, worker in rows),
    )


def process_slots(found: Sequence[QueueNow]) -> dict[tuple[str, str], int]:
    """Returns the slots of each process, counted once however many queues it serves."""
    return {
        (each.host, each.pid): int(each.slots)
        for each in worker_processes(found)
        if each.slots.isdecimal()
    }


def _counts(servers: Servers, name: str) -> tuple[list[tuple[str, int | None]], bool]:
    """How many tasks a purge of each place would remove, and whether the queue is paused."""
    client = servers.of_queue(name)
    found = queues.read_lengths(client, [name])[name]
    waiting = purge.count(client, name, "waiting")
    numbers = {"waiting": waiting, "delayed": found.delayed, "dead": found.dead}
    is_paused = pausing.read_paused(client, [name])[name]
    return [(place, numbers[place]) for place in PLACES], is_paused
