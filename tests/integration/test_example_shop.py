"""The example shop, without containers: its web application, a worker, a scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from support.logging_process import LoggingProcess
from support.ports import free_port
from support.probing import get, reasons
from support.waiting import wait_until

SHOP = Path(__file__).parents[2] / "examples/shop"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis of the shop's own: it keeps its orders there as well."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), appendfsync="no") as server:
        yield server


@pytest.fixture(scope="module")
def shop(server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a shop with a worker and a scheduler."""
    folder = tmp_path_factory.mktemp("shop")
    variables = {"PYTHONPATH": str(SHOP)}
    worker = {"tasks_module_path": "shop.tasks", "concurrency": 8}
    with (
        LoggingProcess(folder, server.url, "fluxqueue_worker", worker, variables),
        LoggingProcess(folder, server.url, "fluxqueue_scheduler", {}, variables),
        serve(server.url) as url,
    ):
        yield url


@contextmanager
def serve(redis_url: str) -> Iterator[str]:
    """The shop's web application; its URL, once it answers."""
    port = free_port()
    environment = os.environ | {
        "FLUXQUEUE_REDIS_URL": redis_url,
        "PYTHONPATH": str(SHOP),
        "SHOP_TRACE_URL": "http://viewer/trace",
    }
    command = [sys.executable, "-m", "uvicorn", "shop.app:app", f"--port={port}"]
    process = subprocess.Popen([*command, "--log-level=warning"], env=environment)
    try:
        wait_until(lambda: get(port, "/livez")[0] == 200, what="the shop's web application")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


class KeepRedirects(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is an answer."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def ask(url: str, body: bytes | None = None, kind: str = "") -> tuple[int, Any, str]:
    """Returns status, headers and text, including those of an error."""
    request = urllib.request.Request(url, body, {"Content-Type": kind} if kind else {})
    try:
        with urllib.request.build_opener(KeepRedirects).open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def order_by_form(shop: str, **fields: str) -> tuple[int, Any, str]:
    body = urllib.parse.urlencode(fields).encode()
    return ask(f"{shop}/", body, "application/x-www-form-urlencoded")


def order_by_json(shop: str, **fields: object) -> tuple[int, Any, str]:
    return ask(f"{shop}/orders", json.dumps(fields).encode(), "application/json")


def test_an_order_goes_its_whole_way(shop: str) -> None:
    status, headers, text = order_by_json(shop, customer="Ada", card="refused-once")
    assert status == 202
    place = f"{shop}{headers['Location']}"
    assert place == f"{shop}/orders/{json.loads(text)['number']}"

    def order() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(ask(place)[2])
        return found

    wait_until(lambda: order()["at_its_end"], what=lambda: f"the end of {order()}")
    found = order()
    assert (found["state"], found["customer"], found["item"]) == ("done", "Ada", "Teapot")
    steps = found["steps"]
    assert steps["charge"]["attempts"] == 2 and "refused" in steps["charge"]["error"]
    assert (
        steps["pack"]
        == steps["confirm"]
        == {
            "state": "done",
            "attempts": 1,
            "failures": 0,
            "error": "",
        }
    )
    assert (steps["points"]["state"], steps["points"]["attempts"]) == ("failed", 3)


def test_the_form_leads_back_to_the_page(shop: str) -> None:
    name = "<script>alert('&')</script>"
    status, headers, _ = order_by_form(shop, customer=name, item="Cup", quantity="1", card="good")
    assert status == 303 and headers["Location"].startswith("/?placed=")
    status, headers, page = ask(shop + headers["Location"])
    assert status == 200 and headers["Content-Security-Policy"] == "default-src 'self'"
    number = page.split("Your order is number ")[1].split(".")[0]
    assert f'id="order-{number}"' in page
    assert name not in page and "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in page


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"customer": "  "},
        {"customer": "Ada", "quantity": "0"},
        {"customer": "Ada", "quantity": "many"},
        {"customer": "Ada", "item": "Coffee"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(shop: str, fields: dict[str, str]) -> None:
    status, _, page = order_by_form(shop, **fields)
    assert status == 422 and 'role="alert"' in page and "<form" in page
    status, _, text = order_by_json(shop, **fields)
    assert status == 422 and "detail" in json.loads(text)


def test_an_unknown_order_is_not_found(shop: str) -> None:
    assert ask(f"{shop}/orders/4711")[0] == 404


def test_every_link_and_file_of_the_page_is_there(shop: str) -> None:
    page = ask(shop)[2]
    files = {part.split('"')[0] for part in page.split('"/static/')[1:]}
    assert files == {"shop.css", "shop.js", "icon.svg"}
    for file in files:
        assert ask(f"{shop}/static/{file}")[0] == 200


def test_without_redis_it_says_so() -> None:
    with serve(f"redis://127.0.0.1:{free_port()}") as shop:
        port = int(shop.rpartition(":")[2])
        assert reasons(port, "/livez") == []
        (reason,) = reasons(port, "/readyz") or []
        assert "Redis does not answer" in reason
        status, headers, text = order_by_json(shop, customer="Ada")
        assert status == 503 and headers["Retry-After"]
        assert "Redis does not answer" in json.loads(text)["detail"]
