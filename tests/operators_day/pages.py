"""The pages of the dashboard, as functions: all that it has, without a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from fluxqueue import FluxQueue
from fluxqueue_control import jobs
from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings
from fluxqueue_dashboard.access import Access
from fluxqueue_dashboard.app import build
from fluxqueue_dashboard.context import Dashboard
from starlette.routing import Route
from support.asgi import ask
from support.scripts import message

from .filling import DEAD, QUEUE, Numbers, tenant

# An endless stream, a probe and a form: a person reads nothing there.
_NO_PAGES = {"/live", "/livez", "/sign-in"}
_STATES = ("waiting", "delayed", "limited", "claimed", "dead", "finished")


def pages(url: str, numbers: Numbers) -> tuple[dict[str, Callable[[], Any]], Dashboard]:
    """Returns what asks for each page, and what the pages share, which the caller closes. A page
    that does not answer fails."""
    app, context = build(Settings(url), Access(anyone="viewer"))
    waiting, dead = (
        message(n)[13:49].decode() for n in (numbers.waiting // 2 - 1, DEAD + numbers.dead // 2)
    )
    # A page takes of these what it knows.
    usual = {"name": QUEUE, "queue": QUEUE, "entry": f'{dead}"'.encode().hex(), "id": waiting}
    servers = Servers(Settings(url))
    job = jobs.start(servers.of_queue(QUEUE), QUEUE, "delete", "dead", dry_run=True)
    servers.close()
    _schedule(url)
    wanted = [(path, usual) for path in _paths(app) if path not in ("/job", "/periodic/task")]
    wanted += [("/job", {"name": QUEUE, "id": job.id})]
    wanted += [("/periodic/task", {"queue": QUEUE, "id": "nightly"})]
    wanted += [("/tasks", {"queue": QUEUE, "state": state}) for state in _STATES]
    wanted += [
        ("/tasks", {"queue": QUEUE, "state": "dead", "task": "shop.ship"}),
        ("/tasks", {"queue": QUEUE, "state": "waiting", "text": "nothing has this"}),
        ("/dead", {"queue": QUEUE, "reason": "failed", "text": "nothing has this"}),
        ("/dead", {"queue": QUEUE, "id": f"{dead[:-1]}*"}),
        ("/dead", {"queue": QUEUE, "header": f"tenant={tenant(7)}"}),
        ("/tasks", {"queue": QUEUE, "state": "waiting", "id": f"{waiting[:-2]}*"}),
        ("/tasks", {"queue": QUEUE, "state": "waiting", "header": "tenant=none"}),
        ("/task", {"queue": QUEUE, "id": dead}),
        ("/search", {"q": "order_id=-1"}),
        ("/search", {"q": "task:shop.ship"}),
        ("/search", {"q": "reason:rejected exception:ConnectionError"}),
        ("/search", {"q": "error:nothing"}),
        ("/search", {"q": f"id:{dead[:-1]}*"}),
        ("/search", {"q": "@tenant=none"}),
        ("/search", {"q": waiting}),
    ]

    def asking(path: str) -> Callable[[], None]:
        def look() -> None:
            answer = ask(app, path)
            assert answer.status in (200, 303), f"{path}: {answer.status}"

        return look

    asked: dict[str, Callable[[], Any]] = {}
    for path, words in wanted:
        rest = {name: value for name, value in words.items() if words is not usual}
        asked[f"page {path} {' '.join(rest.values())}".strip()] = asking(
            f"{path}?{urlencode(words)}"
        )
    return asked, context


def _schedule(url: str) -> None:
    queue = FluxQueue(url)
    ship = queue.task(name="shop.ship", queue=QUEUE)(lambda: None)
    queue.schedule("nightly", ship.call(), "0 3 * * *")
    queue.close()


def _paths(app: Any) -> list[str]:
    """The pages that a browser can ask for, by the routes of the application."""
    inner = app
    while not hasattr(inner, "routes"):
        inner = inner.app if hasattr(inner, "app") else inner._app
    return [
        route.path
        for route in inner.routes
        if isinstance(route, Route) and "GET" in (route.methods or ()) and "{" not in route.path
        if route.path not in _NO_PAGES
    ]
