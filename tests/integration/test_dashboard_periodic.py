"""The dashboard shows the history of a periodic task, as `fluxqueue periodic history` prints it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue_core import Settings
from fluxqueue_dashboard.access import Access
from fluxqueue_dashboard.app import build
from support.asgi import ask
from support.operator_commands import objects
from support.planted_shop import PlantedShop


@pytest.fixture
def shop(redis: Any, redis_url: str) -> Iterator[PlantedShop]:
    planted = PlantedShop(redis, redis_url)
    yield planted
    planted.close()


@pytest.fixture
def app(redis_url: str) -> Iterator[Any]:
    application, context = build(Settings(redis_url), Access())
    yield application
    context.close()


@pytest.mark.usefixtures("shop")
def test_the_list_leads_to_the_history_of_each(app: Any, redis_url: str) -> None:
    text = html.unescape(ask(app, "/periodic").text)
    links = re.findall(r'href="(/periodic/task[^"]+)"', text)
    assert len(links) == 2
    [path] = [link for link in links if "clean-cache" in link]
    text = html.unescape(ask(app, path).text)
    shown = re.findall(r'<time datetime="[^"]+" title="([^"]+)">[^<]+</time></small></th>', text)
    kinds = re.findall(r"</th><td>([^<]+)</td>", text)
    history = objects(redis_url, "periodic", "history", "-q", "images", "clean-cache")
    assert kinds == [run["kind"] for run in history] == ["run", "by hand", "run", "skipped"]
    assert len(shown) == len(set(shown)) == 4
    assert "every 5" in text and "1.2" in text
    [other] = [link for link in links if "nightly-report" in link]
    assert "No run yet" in ask(app, other).text


@pytest.mark.usefixtures("shop")
def test_a_periodic_task_that_is_not_there_is_no_page(app: Any) -> None:
    answer = ask(app, "/periodic/task?queue=images&id=%3Cb%3E")
    assert answer.status == 404 and "<b>" not in answer.text
    assert ask(app, "/periodic/task?queue=a%20b&id=x").status in (400, 404)
