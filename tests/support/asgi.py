"""Asks an ASGI application without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

HOST = "localhost"


@dataclass
class Answer:
    """The answer of an application."""

    status: int
    headers: dict[str, str]
    text: str


def ask(
    app: Any,
    path: str,
    method: str = "GET",
    *,
    form: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    client: str = "127.0.0.1",
    root_path: str = "",
) -> Answer:
    """Sends one request and returns the whole answer."""
    return asyncio.run(ask_async(app, path, method, form, headers, client, root_path))


async def ask_async(
    app: Any,
    path: str,
    method: str = "GET",
    form: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    client: str = "127.0.0.1",
    root_path: str = "",
) -> Answer:
    """Sends one request in the running loop; see `ask`."""
    path, _, query = path.partition("?")
    body = urlencode(form if isinstance(form, Mapping) else list(form or ())).encode()
    sent = {"host": HOST, **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": root_path + path,
        "raw_path": (root_path + path).encode(),
        "root_path": root_path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": (client, 50_000),
        "server": (HOST, 80),
    }
    messages: list[dict[str, Any]] = []
    bodies = [body]

    async def receive() -> dict[str, Any]:
        if not bodies:
            # The client stays: an application that waits for its end waits forever.
            await asyncio.Event().wait()
        bodies.pop()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, *parts = messages
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(part.get("body", b"") for part in parts).decode(),
    )
