"""Stands in front of every page: who asks, from which site, and what the answer's headers allow.

No change is made by GET. Every other method needs an operator, and must come from these pages. So
a page can't forget it.

Why: docs/decisions/0199-one-guard-for-all-changes.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import Access, Visitor

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer, the browser would also hide the origin of a form.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_READING = ("GET", "HEAD")
# Paths that need no proof: probes ask for the first, and the others are the same for all.
_OPEN = ("/livez", "/static/")


class Guard:
    """An ASGI application around that of the pages.

    Attributes:
        app: the application of the pages.

    Args:
        hosts: the names under which the dashboard may be asked for; empty: any. On a loopback
            address it keeps out a site whose name resolves to that address.
    """

    def __init__(self, app: ASGIApp, access: Access, hosts: Sequence[str] = ()) -> None:
        self.app = app
        self._access = access
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # Pages show what is in the queues, and what a visitor may do.
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        """Returns the answer to a request that goes no further. Notes the visitor of another."""
        if self._hosts and _host(_header(scope, b"host")) not in self._hosts:
            return _refuse(400, "This name is not one of the dashboard's; see --allowed-host.")
        reads, path = scope["method"] in _READING, _path(scope)
        if reads and path.startswith(_OPEN):
            return None
        visitor = self._access.visitor(scope)
        if visitor is None:
            return _ask()
        if not reads:
            if scope["method"] != "POST":
                return _refuse(405, "Only GET and POST are known here.")
            if visitor.role != "operator":
                return _refuse(403, "A viewer can change nothing.")
            if not _is_from_here(scope, visitor):
                return _refuse(403, "This change was not sent by a page of this dashboard.")
        scope.setdefault("state", {})["visitor"] = visitor
        return None


def _is_from_here(scope: Scope, visitor: Visitor) -> bool:
    """Whether the browser says that a page of this site has sent the request. A program that
    shows a token sends no such header, and no site can make a browser add the token."""
    site = _header(scope, b"sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = _header(scope, b"origin")
    if origin is not None:
        return urlsplit(origin).netloc == (_header(scope, b"host") or "")
    return not visitor.is_ambient


def _ask() -> PlainTextResponse:
    refusal = _refuse(401, "Sign in: a name and its secret, or a bearer token.")
    refusal.headers["www-authenticate"] = 'Basic realm="FluxQueue", charset="UTF-8"'
    return refusal


def _refuse(status: int, text: str) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status)


def _path(scope: Scope) -> str:
    """The path below that of the application which mounts the dashboard."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _header(scope: Any, name: bytes) -> str | None:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _host(header: str | None) -> str:
    """The name in a Host header, without the port."""
    text = (header or "").lower()
    return text.partition("]")[0] + "]" if text.startswith("[") else text.partition(":")[0]
