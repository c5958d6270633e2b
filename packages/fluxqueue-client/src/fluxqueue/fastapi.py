"""FluxQueue in a FastAPI application: its lifespan, its worker, handles, server-sent progress.

    app = FastAPI(lifespan=lifespan(queue, run_worker=True))
    Handle = Annotated[TaskHandle[Any], Depends(task_handle(queue))]

    @app.get("/tasks/{task_id}/events")
    async def events(handle: Handle) -> StreamingResponse:
        return progress_events(handle)

See docs/fastapi.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import HTTPException

from .client import FluxQueue
from .errors import ConfigurationError
from .handle import TaskHandle
from .known_tasks import KnownTasks
from .starlette import lifespan, progress_events

__all__ = ["lifespan", "progress_events", "task_handle"]


def task_handle(
    fluxqueue: FluxQueue, queue: str = "default", *, check: bool = True
) -> Callable[[str], Awaitable[TaskHandle[Any]]]:
    """Returns a dependency: the handle of the task whose id is the path's parameter `task_id`.

    The request gets the status 404 if the id is not valid, or if neither the queue has the task
    nor its result is kept. A handle gives access to the task, so check who asks.

    Args:
        queue: the queue of the tasks.
        check: whether to look for the task. Needs the package fluxqueue-control, and in Redis the
            rights of an operator that only looks.

    Raises:
        ConfigurationError: the name of the queue is not valid, or fluxqueue-control is not
            installed.
    """
    fluxqueue.handle("an id", queue=queue)
    known = KnownTasks(fluxqueue.settings) if check else None

    async def handle_of_path(task_id: str) -> TaskHandle[Any]:
        try:
            handle = fluxqueue.handle(task_id, queue=queue)
        except ConfigurationError:
            raise HTTPException(404, "there is no such task") from None
        if known is not None and not await known.has(handle):
            raise HTTPException(404, "there is no such task")
        return handle

    return handle_of_path
