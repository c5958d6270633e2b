"""The dashboard on a port, and headless Chromium that looks at it."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from fluxqueue_core import Settings
from fluxqueue_dashboard.access import Access, Person
from fluxqueue_dashboard.app import build
from fluxqueue_dashboard.context import Dashboard
from playwright.sync_api import Browser, Page, sync_playwright

from .patient_pages import patient_pages
from .waiting import wait_until

OPERATOR = Person.of("ada", "operator", "operator-0123456789")
SECRET = "operator-0123456789"
# Milliseconds. The machine may be busy.
PATIENCE = 30_000
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Returns the path of a Chromium; None if there is none."""
    named = os.environ.get("FLUXQUEUE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Served:
    """A dashboard that listens.

    Attributes:
        context: what its pages share.
    """

    url: str
    context: Dashboard


@contextlib.contextmanager
def served(redis_url: str) -> Iterator[Served]:
    """Serves a dashboard in a thread: each visitor may look, and `ada` may change."""
    settings = Settings(redis_url)
    app, context = build(
        settings, Access((OPERATOR,), anyone="viewer"), trace_url="http://trace.example/{trace_id}"
    )
    with patient_pages(), socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            wait_until(lambda: server.started, what="the dashboard")
            yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", context)
        finally:
            context.hub.close()
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """Starts Chromium."""
    # Chromium has no sandbox for root, as who the CI runs.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(
    browser: Browser, url: str, *, is_operator: bool, expected: str = "", **options: Any
) -> Iterator[Page]:
    """Opens a page whose errors fail the test: of a script, of the content security policy, or a
    dialog that hostile text has opened.

    Args:
        expected: a part of the errors that do not fail it; '' if all do.
    """
    options.setdefault("viewport", {"width": 1280, "height": 860})
    if is_operator:
        proof = base64.b64encode(f"ada:{SECRET}".encode()).decode()
        options["extra_http_headers"] = {"authorization": f"Basic {proof}"}
    context = browser.new_context(base_url=url, **options)
    problems: list[str] = []
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)

    def refuse(dialog: Any) -> None:
        problems.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", refuse)
    try:
        yield page
    finally:
        context.close()
    assert [each for each in problems if not expected or expected not in each] == []
