"""The worker processes, with their memory and the tasks that run in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fluxqueue_control.reports import RunningTask
from fluxqueue_control.workers import Worker
from starlette.requests import Request
from starlette.responses import Response

from .context import context_of
from .formats import NOTHING
from .snapshot import QueueNow, Snapshot

# Rows of running tasks, at most.
_MOST_RUNNING = 50


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker process, with the conversations that it has about its queues.

    Attributes:
        memory: resident bytes; None if it is not known.
        oldest: of the tasks that run, that which has run longest, with its queue; None if none
            runs, or if that is not known.
    """

    host: str
    pid: str
    version: str
    state: str
    queues: Sequence[str]
    claimed: int
    slots: str
    lease_left: float
    memory: int | None
    oldest: tuple[str, RunningTask] | None


@dataclass(frozen=True, slots=True)
class Running:
    """A task that runs."""

    queue: str
    host: str
    pid: str
    task: RunningTask


async def workers(request: Request) -> Response:
    """All worker processes."""
    context = context_of(request)
    values = worker_values(await context.hub.now())
    return context.renderer.page(
        request, "workers.html", section="workers", live="/live?view=workers", **values
    )


def worker_values(snapshot: Snapshot) -> dict[str, Any]:
    """Returns what the page of the workers shows."""
    processes = worker_processes(snapshot.queues)
    known = [each.memory for each in processes if each.memory is not None]
    return {
        "processes": processes,
        "slots": sum(int(each.slots) for each in processes if each.slots.isdecimal()),
        "claimed": sum(each.claimed for each in processes),
        "memory": sum(known) if known else None,
        "error": snapshot.error,
    }


def worker_processes(found: Sequence[QueueNow]) -> list[WorkerProcess]:
    """Returns the worker processes; one that names no host and process is one for each queue."""
    rows: dict[tuple[Any, ...], list[tuple[str, Worker]]] = {}
    for each in found:
        for worker in each.workers:
            if worker.state == "tombstone":
                continue
            host, pid = worker.identity.get("host"), worker.identity.get("pid")
            known = (str(host), str(pid)) if host and pid else ("unknown", worker.consumer)
            rows.setdefault(known, []).append((each.name, worker))
    return [_process(key, rows[key]) for key in sorted(rows)]


def _process(key: tuple[Any, ...], rows: Sequence[tuple[str, Worker]]) -> WorkerProcess:
    identity = rows[0][1].identity
    reports = [(name, worker.report) for name, worker in rows if worker.report is not None]
    tasks = [(name, task) for name, report in reports for task in report.tasks]
    return WorkerProcess(
        host=key[0],
        pid=str(identity.get("pid", NOTHING)),
        version=str(identity.get("version", NOTHING)),
        state="late" if any(worker.state == "late" for _, worker in rows) else "alive",
        queues=sorted({name for name, _ in rows}),
        claimed=sum(worker.claimed for _, worker in rows),
        slots=str(identity.get("slots", NOTHING)),
        lease_left=min(worker.lease_left for _, worker in rows),
        # Each of its conversations reports the memory of the process.
        memory=max((r.memory for _, r in reports if r.memory is not None), default=None),
        oldest=max(tasks, key=lambda each: each[1].seconds, default=None),
    )


def process_slots(found: Sequence[QueueNow]) -> dict[tuple[str, str], int]:
    """Returns the slots of each process, counted once however many queues it serves."""
    return {
        (each.host, each.pid): int(each.slots)
        for each in worker_processes(found)
        if each.slots.isdecimal()
    }


def running_tasks(found: QueueNow | None) -> list[Running]:
    """Returns the tasks of a queue that run, as their workers have reported; the oldest first."""
    if found is None:
        return []
    running = [
        Running(
            found.name,
            str(worker.identity.get("host", "unknown")),
            str(worker.identity.get("pid", NOTHING)),
            task,
        )
        for worker in found.workers
        if worker.report is not None
        for task in worker.report.tasks
    ]
    return sorted(running, key=lambda each: -each.task.seconds)[:_MOST_RUNNING]
