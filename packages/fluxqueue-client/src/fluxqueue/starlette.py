"""FluxQueue in a Starlette application: its lifespan, its worker, and server-sent progress.

    app = Starlette(routes=..., lifespan=lifespan(queue, run_worker=True))

`fluxqueue.fastapi` has all of this, and a dependency for handles. See docs/fastapi.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar, Unpack

from fluxqueue_core import json_codec
from starlette.responses import StreamingResponse

from .client import FluxQueue
from .errors import ConfigurationError
from .handle import TaskHandle
from .progress import Progress
from .web_worker import WorkerOptions, web_worker

Application = TypeVar("Application")
Lifespan = Callable[[Application], AbstractAsyncContextManager[Any]]

# Seconds of silence after which proxies and browsers are shown that the stream lives.
KEEP_ALIVE = 15.0


def lifespan(
    *objects: FluxQueue,
    run_worker: bool = False,
    app_lifespan: Lifespan[Any] | None = None,
    **options: Unpack[WorkerOptions],
) -> Lifespan[Any]:
    """Returns the lifespan for the application: it closes the connections of the objects at the
    end.

    Args:
        *objects: the `FluxQueue` objects of the application.
        run_worker: whether this process also runs their tasks. The worker starts after
            `app_lifespan`, even if Redis is down, and drains before `app_lifespan` ends.
        app_lifespan: the application's own lifespan, which it would have without this one.
        options: of the worker.

    Raises:
        TypeError: an argument is not a `FluxQueue`.
        ConfigurationError: the worker's package is not installed, an option is out of range, or
            options are given without a worker.
    """
    for each in objects:
        if not isinstance(each, FluxQueue):
            raise TypeError(
                f"lifespan() takes FluxQueue objects, not {type(each).__name__}; the application's "
                f"own lifespan is app_lifespan=..."
            )
    if options and not run_worker:
        raise ConfigurationError(f"{', '.join(options)}: give run_worker=True too")
    worker = web_worker(objects, options) if run_worker else None

    @asynccontextmanager
    async def around(app: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            for each in objects:
                stack.callback(each.close)
            state = None
            if app_lifespan is not None:
                state = await stack.enter_async_context(app_lifespan(app))
            if worker is not None:
                await worker.start_async(timeout=0)
                stack.push_async_callback(worker.stop_async)
            yield state

    return around


def progress_events(handle: TaskHandle[Any], keep_alive: float = KEEP_ALIVE) -> StreamingResponse:
    """Returns a response that streams the progress of a task as server-sent events, to its end.

    The latest report is an event `progress`, at most four times a second. Its data is a JSON
    object: `done`, `total`, `note`, `at` (ISO 8601) and `fraction`. The last event is `end`, with
    the `status` of the task. A task that was enqueued without `result_ttl` has neither, so the
    stream goes on without events.

    Args:
        keep_alive: seconds without an event after which a comment is sent.
    """
    return StreamingResponse(
        _events(handle, keep_alive),
        media_type="text/event-stream",
        # nginx would collect the events otherwise.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(handle: TaskHandle[Any], keep_alive: float) -> AsyncGenerator[bytes, None]:
    reports = handle.watch()
    following: asyncio.Future[Progress | None] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(reports, None))
            while not (await asyncio.wait([following], timeout=keep_alive))[0]:
                yield b": keep-alive\n\n"
            if (progress := following.result()) is None:
                break
            yield _event("progress", _fields(progress))
        yield _event("end", {"status": await handle.status_async()})
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await following
        await reports.aclose()


def _fields(progress: Progress) -> dict[str, Any]:
    return {
        "done": progress.done,
        "total": progress.total,
        "note": progress.note,
        "at": progress.at,
        "fraction": progress.fraction,
    }


def _event(name: str, data: dict[str, Any]) -> bytes:
    # JSON has no line break, so one `data:` line is enough.
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json_codec.dumps(data))
