"""The dashboard as an ASGI application, alone or inside another application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from fluxqueue_control.errors import DENIED
from fluxqueue_core import Settings
from redis.exceptions import ResponseError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from . import (
    audit_pages,
    changes,
    dead_group_pages,
    dead_pages,
    job_pages,
    limit_pages,
    list_pages,
    live_pages,
    lock_pages,
    overview_pages,
    periodic_pages,
    search_pages,
    strike_pages,
    task_pages,
    worker_pages,
)
from .access import Access
from .context import REDIS_ERRORS, Dashboard, context_of, explained
from .guard import Guard
from .redaction import Redact, guarded, nothing_hidden

_STATIC = Path(__file__).parent / "static"
# Seconds. Addresses of these files have the version.
_DAY = 86_400


def dashboard(
    redis_url: str | None = None,
    *,
    namespace: str | None = None,
    access: Access | None = None,
    hosts: Sequence[str] = (),
    redact: Redact | None = None,
    trace_url: str = "",
) -> ASGIApp:
    """Returns the dashboard, to be mounted in another ASGI application.

    Args:
        redis_url: as for `fluxqueue.FluxQueue`.
        namespace: likewise.
        access: the roles. By default all visitors that the other application lets through are
            viewers.
        hosts: the names under which it may be asked for; by default any.
        redact: gets the part ('args', 'kwargs', 'result', 'progress', 'error', 'traceback'), the
            task's name and the value, and returns what to show.
        trace_url: leads to a trace, such as 'https://jaeger.example/trace/{trace_id}'.

    Raises:
        ConfigurationError: the URL or the namespace is not valid.
    """
    settings = Settings(redis_url, namespace=namespace)
    hiding = nothing_hidden if redact is None else guarded(redact)
    app, _ = build(settings, access or Access(), hosts, hiding, trace_url)
    return app


def build(
    settings: Settings,
    access: Access,
    hosts: Sequence[str] = (),
    redact: Redact = nothing_hidden,
    trace_url: str = "",
) -> tuple[ASGIApp, Dashboard]:
    """Returns the application, and what its pages share."""
    offers_sign_in = access.anyone is not None and bool(access.people) and access.by is None
    context = Dashboard(settings, redact, trace_url, offers_sign_in)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        context.close()

    handlers: dict[Any, Callable[..., Any]] = dict.fromkeys(REDIS_ERRORS, _no_redis)
    handlers[HTTPException] = _http_error
    handlers[Exception] = _bug
    app = Starlette(
        routes=[
            Route("/", overview_pages.overview),
            Route("/queue", overview_pages.queue),
            Route("/workers", worker_pages.workers),
            Route("/live", live_pages.live),
            Route("/task", task_pages.task),
            Route("/tasks", list_pages.task_list),
            Route("/search", search_pages.search_all),
            Route("/dead", dead_pages.dead_tasks),
            Route("/dead/task", task_pages.dead_task),
            Route("/dead/groups", dead_group_pages.dead_groups),
            Route("/jobs", job_pages.job_list),
            Route("/job", job_pages.job),
            Route("/strikes", strike_pages.strike_list),
            Route("/locks", lock_pages.lock_list),
            Route("/audit", audit_pages.audit_list),
            Route("/periodic", periodic_pages.periodic_tasks),
            Route("/periodic/task", periodic_pages.periodic_task),
            Route("/limits", limit_pages.limits),
            Route("/sign-in", _sign_in),
            Route("/livez", _alive),
            Route("/changes/{verb}", changes.change, methods=["POST"]),
            Mount("/static", _Static(directory=_STATIC)),
        ],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    app.state.context = context
    return Guard(app, access, hosts), context


class _Static(StaticFiles):
    """Files that a browser keeps for a day."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = f"public, max-age={_DAY}"
        return response


async def _alive(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _sign_in(request: Request) -> Response:
    """Asks for a name and a secret. A browser sends them with each request from then on."""
    if "authorization" in request.headers:
        return RedirectResponse(request.scope.get("root_path", "") + "/", 303)
    headers = {"www-authenticate": 'Basic realm="FluxQueue", charset="UTF-8"'}
    return PlainTextResponse("Sign in: a name and its secret.\n", 401, headers)


async def _no_redis(request: Request, error: Exception) -> Response:
    # Rights are missing, or a key has another type.
    is_refusal = isinstance(error, (ResponseError, *DENIED))
    title = "Redis refuses that" if is_refusal else "Redis can't answer"
    return _message(request, 503, title, explained(error))


async def _http_error(request: Request, error: HTTPException) -> Response:
    titles = {404: "There is no such page", 405: "That is not possible here"}
    title = titles.get(error.status_code, "That was not understood")
    text = error.detail if error.status_code != 404 or error.detail != "Not Found" else ""
    return _message(request, error.status_code, title, text)


async def _bug(request: Request, error: Exception) -> Response:
    return _message(
        request, 500, "That went wrong", "This is an error of the dashboard. Its log has more."
    )


def _message(request: Request, status: int, title: str, text: str) -> Response:
    return context_of(request).renderer.page(
        request,
        "message.html",
        status,
        section="",
        title=title,
        text=text,
        link=("Overview", "/"),
    )
