"""Makes pages of templates. Everything that comes from Redis is escaped: names and errors of tasks
are hostile text."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from fluxqueue_core import __version__
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse

from . import formats, graphs
from .access import Visitor
from .notices import NOTICES

NAVIGATION = (
    ("overview", "/", "Overview"),
    ("dead", "/dead", "Dead"),
    ("workers", "/workers", "Workers"),
    ("periodic", "/periodic", "Periodic"),
    ("limits", "/limits", "Limits"),
    ("jobs", "/jobs", "Jobs"),
    ("strikes", "/strikes", "Strikes"),
    ("locks", "/locks", "Locks"),
    ("audit", "/audit", "Audit"),
    ("search", "/search", "Search"),
)
# The names on pages for the states of `fluxqueue_control`.
STATE_NAMES = {
    "pending": "waiting",
    "prioritized": "waiting",
    "suspects": "suspect",
    "limited": "limited",
    "delayed": "delayed",
    "claimed": "running",
    "dead": "dead",
}


def address(path: str, **parameters: object) -> str:
    """Returns a path with its parameters; those that are None or '' are left out."""
    kept = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept, errors='replace')}" if kept else path


def ago(seconds: float) -> Markup:
    """Returns an element with the time since a moment, or until it."""
    age = time.time() - seconds
    text = f"{formats.duration(age)} ago" if age >= 0 else f"in {formats.duration(-age)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        formats.iso(seconds), formats.moment(seconds), text
    )


class Renderer:
    """The templates, and what each of them can use.

    Args:
        namespace: shown on every page; '' for the default one.
        redis: where Redis is, as people may see it.
        offers_sign_in: whether a visitor without a proof may look, and can prove more.
    """

    def __init__(self, namespace: str, redis: str, offers_sign_in: bool) -> None:
        self._environment = Environment(
            loader=PackageLoader("fluxqueue_dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "count": formats.count,
            "duration": formats.duration,
            "rate": formats.rate,
            "moment": formats.moment,
            "size": formats.size,
            "pretty": formats.pretty,
            "shortened": formats.shortened,
            "short_count": formats.short_count,
            "ago": ago,
        }
        self._environment.globals |= {
            "address": address,
            "navigation": NAVIGATION,
            "state_names": STATE_NAMES,
            "version": __version__,
            "namespace": namespace,
            "redis": redis,
            "offers_sign_in": offers_sign_in,
            "graph": graphs.graph,
            "spark": graphs.spark,
            "ceiling": graphs.ceiling,
        }

    def page(
        self, request: HTTPConnection, template: str, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """Returns a page for the visitor who asks."""
        visitor: Visitor = request.scope.get("state", {}).get("visitor", Visitor("", "viewer"))
        notice = NOTICES.get(request.query_params.get("done", ""))
        count = request.query_params.get("count", "")
        if notice is not None:
            notice = (notice[0], notice[1].format(count=count if count.isdecimal() else "some"))
        text = self.text(
            template,
            root=request.scope.get("root_path", ""),
            visitor=visitor,
            can_change=visitor.role == "operator",
            notice=notice,
            **values,
        )
        # JSON in Redis can have half a surrogate pair, which no page can.
        return HTMLResponse(text.encode(errors="replace"), status)

    def text(self, template: str, **values: Any) -> str:
        """Returns a template's text."""
        return self._environment.get_template(template).render(values)
