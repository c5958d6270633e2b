"""The jobs of all queues, and one job with its progress."""

from __future__ import annotations

from typing import Any

from fluxqueue_control import jobs
from fluxqueue_control.job_record import Job
from fluxqueue_control.servers import Servers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .context import Dashboard, context_of
from .jobs_now import JobNow, JobsNow, job_now
from .overview_pages import queue_name
from .rendering import address

# Jobs of a page.
_MOST = 100
# Each verb with each of its parts, in the order of a form.
CHOICES = tuple(
    (f"{verb} {part}", f"{verb.capitalize()} {part}")
    for verb, parts in jobs.VERBS.items()
    for part in parts
)


async def job_list(request: Request) -> Response:
    """The last jobs of all queues, the newest first."""
    context = context_of(request)
    now = await context.job_hub.now()
    snapshot = await context.hub.now()
    return context.renderer.page(
        request,
        "jobs.html",
        section="jobs",
        live="/live?view=jobs",
        names=[each.name for each in snapshot.queues],
        choices=CHOICES,
        **jobs_values(now),
    )


async def job(request: Request) -> Response:
    """One job."""
    context = context_of(request)
    queue, job_id = queue_name(request), request.query_params.get("id", "")
    found = await context.ask(_show, queue, job_id)
    if found is None:
        raise HTTPException(404, f"queue {queue!r} has no job {job_id!r}, or it is forgotten")
    values = job_values(context, job_now(queue, found))
    assert values is not None
    return context.renderer.page(
        request,
        "job.html",
        section="jobs",
        live=address("/live", view="job", name=queue, id=job_id),
        **values,
    )


def _show(servers: Servers, queue: str, job_id: str) -> Job | None:
    return jobs.show(servers.of_queue(queue), queue, job_id)


def jobs_values(now: JobsNow) -> dict[str, Any]:
    """Returns what the list of jobs shows."""
    return {"jobs": now.jobs[:_MOST], "error": now.error}


def job_values(context: Dashboard, found: JobNow | None) -> dict[str, Any] | None:
    """Returns what the page of a job shows; None if it is not known."""
    if found is None:
        return None
    seconds = max(found.job.updated - found.job.started, 0.0)
    return {
        "it": found,
        "rate": found.changed / seconds if seconds >= 1 else None,
        "failure": context.jobs.failure(found.job.id),
    }
