"""The stream of a page that lives: the HTML of its changing parts, by the ids of their elements."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .context import Dashboard, context_of
from .job_pages import job_values, jobs_values
from .jobs_now import JobsNow
from .live import close
from .overview_pages import overview_values, queue_name, queue_values
from .snapshot import Snapshot
from .worker_pages import worker_values

# A comment keeps the connection of a quiet page open through a proxy.
_GREETING = "retry: 3000\n\n"
# Of each view the elements, with their templates.
VIEWS = {
    "overview": {
        "live-tiles": "tiles.html",
        "live-graph": "graph.html",
        "live-queues": "queues.html",
    },
    "queue": {
        "live-tiles": "tiles.html",
        "live-graph": "graph.html",
        "live-running": "running.html",
        "live-names": "names.html",
        "live-workers": "queue_workers.html",
        "live-state": "queue_state.html",
    },
    "workers": {"live-workers": "worker_table.html"},
    "jobs": {"live-jobs": "job_table.html"},
    "job": {"live-job": "job_state.html"},
}


async def live(request: Request) -> Response:
    """Sends the changing parts of a page, until the viewer leaves."""
    context, parameters = context_of(request), request.query_params
    view = parameters.get("view", "")
    if view not in VIEWS:
        raise HTTPException(404)
    name = queue_name(request) if view in ("queue", "job") else ""
    job, root = parameters.get("id", ""), request.scope.get("root_path", "")

    def values(now: Any) -> dict[str, Any] | None:
        if isinstance(now, JobsNow):
            return jobs_values(now) if view == "jobs" else job_values(context, now.job(name, job))
        assert isinstance(now, Snapshot)
        if view == "workers":
            return worker_values(now)
        if view == "queue":
            return queue_values(context, now, name)
        return overview_values(context, now)

    async def events() -> AsyncIterator[str]:
        yield _GREETING
        hub: Any = context.job_hub if view in ("jobs", "job") else context.hub
        snapshots: AsyncGenerator[Any, None] = hub.follow()
        try:
            async for now in snapshots:
                if (found := values(now)) is not None:
                    parts = _parts(context, VIEWS[view], found | {"root": root})
                    yield f"data: {json.dumps(parts)}\n\n"
        finally:
            await close(snapshots)

    return StreamingResponse(
        events(),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def _parts(context: Dashboard, of: dict[str, str], values: dict[str, Any]) -> dict[str, str]:
    # No part that lives has a form, so it is the same for all roles.
    text = context.renderer.text
    return {name: text(template, can_change=False, **values) for name, template in of.items()}
