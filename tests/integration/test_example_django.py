"""The example shop of Django, by its own command and an HTTP client."""

from __future__ import annotations

import http.cookiejar
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ports import free_port
from support.waiting import wait_until

MANAGE = Path(__file__).parents[2] / "examples/django_shop/manage.py"
pytestmark = pytest.mark.xdist_group("django")


class Browser:
    """A client with cookies."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)

    def get(self, path: str, form: dict[str, str] | None = None) -> str:
        """The text of a page, after all redirects; '' if no server answers."""
        body = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self._opener.open(self._base + path, body, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            raise
        except OSError:
            return ""


@pytest.fixture
def browser(tmp_path: Path, redis_url: str) -> Iterator[Browser]:
    port = free_port()
    environment = os.environ | {
        "FLUXQUEUE_REDIS_URL": redis_url,
        "FLUXQUEUE_DEV_DASHBOARD": "no",
        "SHOP_DATABASE": str(tmp_path / "shop.sqlite3"),
    }
    command = [sys.executable, str(MANAGE), "demo", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path)
    browser = Browser(port)
    try:
        wait_until(lambda: browser.get("/"), what="the shop")
        yield browser
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_an_order_is_paid_by_the_worker(browser: Browser) -> None:
    [token] = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', browser.get("/"))
    form = {"csrfmiddlewaretoken": token, "email": "ada@example.com", "amount": "18"}
    first = browser.get("/", form)
    assert "<h1>Order 1</h1>" in first and "18 EUR" in first
    wait_until(lambda: "SUCCESSFUL" in browser.get("/orders/1"), what="the payment")
    page = browser.get("/orders/1")
    assert "SUCCESSFUL after 2 attempts" in page and "18 EUR, paid" in page
    assert "<li>builtins.ConnectionError</li>" in page
