"""A web application that writes reports in the background, and runs its own worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, StreamingResponse
from fluxqueue import ResultTimeout, TaskFailed, TaskHandle
from fluxqueue.fastapi import lifespan, progress_events, task_handle
from fluxqueue_dashboard.app import dashboard
from pydantic import BaseModel, Field
from reports import queue, write_report

app = FastAPI(lifespan=lifespan(queue, run_worker=True, drain_timeout=10))
app.mount("/queues", dashboard())
Handle = Annotated[TaskHandle[Any], Depends(task_handle(queue))]


class Report(BaseModel):
    """The order of a client."""

    title: str = Field(min_length=1, max_length=100)
    pages: int = Field(ge=1, le=1000)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).parent / "page.html")


@app.post("/reports", status_code=202)
async def begin(report: Report) -> dict[str, str]:
    handle = await write_report.enqueue_async(report.title, report.pages)
    return {"id": handle.id}


@app.get("/reports/{task_id}")
async def read(handle: Handle) -> dict[str, str]:
    try:
        return {"status": "done", "report": await handle.result_async(timeout=0)}
    except ResultTimeout:
        return {"status": "in progress"}
    except TaskFailed as error:
        raise HTTPException(500, str(error)) from None


@app.get("/reports/{task_id}/events")
async def events(handle: Handle) -> StreamingResponse:
    return progress_events(handle)
