"""FluxQueue in a Flask application, in the process of the tests."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from flask import Flask, current_app, g, has_app_context
from fluxqueue import FluxQueue, Reject, TaskFailed
from fluxqueue.flask import AppContextMiddleware
from fluxqueue_worker.embedded_worker import EmbeddedWorker
from support.waiting import PATIENCE, wait_until


class Shop:
    """An application whose teardown notes how each attempt ended."""

    def __init__(self, redis_url: str, in_app: AppContextMiddleware) -> None:
        self.torn_down: list[BaseException | None] = []
        self.queue = queue = FluxQueue(redis_url, middleware=[in_app])

        @queue.task(result_ttl=60, max_retries=0)
        def name(fails: bool = False) -> str:
            g.count = g.get("count", 0) + 1
            if fails:
                raise Reject("of no use")
            return f"{current_app.name} {g.count}"

        @queue.task(result_ttl=60, max_retries=0)
        async def name_async() -> str:
            g.count = g.get("count", 0) + 1
            await asyncio.sleep(0.02)
            return f"{current_app.name} {g.count}"

        self.name, self.name_async = name, name_async

    def app(self, name: str = "shop") -> Flask:
        app = Flask(name)

        @app.teardown_appcontext
        def note(error: BaseException | None) -> None:
            self.torn_down.append(error)

        return app


def test_each_attempt_has_a_context_and_its_teardown(redis_url: str) -> None:
    in_app = AppContextMiddleware()
    shop = Shop(redis_url, in_app)
    in_app.init_app(shop.app())
    with EmbeddedWorker(shop.queue, concurrency=4):
        sync = [shop.name.enqueue() for _ in range(8)]
        assert {handle.result(PATIENCE) for handle in sync} == {"shop 1"}
        overlapping = [asyncio.run(shop.name_async.enqueue_async()) for _ in range(8)]
        assert {handle.result(PATIENCE) for handle in overlapping} == {"shop 1"}
        assert shop.torn_down == [None] * 16
        with pytest.raises(TaskFailed, match="of no use"):
            shop.name.enqueue(fails=True).result(PATIENCE)
    assert [type(error) for error in shop.torn_down[16:]] == [Reject]
    assert not has_app_context()


def test_attempts_of_one_thread_share_nothing(redis_url: str) -> None:
    in_app = AppContextMiddleware()
    shop = Shop(redis_url, in_app)
    in_app.init_app(shop.app())
    counts: list[int] = []

    @shop.queue.task(max_retries=0)
    def count() -> None:
        g.count = g.get("count", 0) + 1
        counts.append(g.count)
        raise ValueError

    with EmbeddedWorker(shop.queue, concurrency=1):
        count.enqueue()
        count.enqueue()
        wait_until(lambda: len(shop.torn_down) == 2)
    assert counts == [1, 1]


def test_a_factory_makes_the_application_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Flask] = []

    def create_app() -> Flask:
        made.append(shop.app(f"made {len(made)}"))
        return made[-1]

    monkeypatch.setitem(sys.modules, "of_the_test", SimpleNamespace(create_app=create_app))
    shop = Shop(redis_url, AppContextMiddleware(factory="of_the_test:create_app"))
    with EmbeddedWorker(shop.queue, concurrency=4):
        handles = [shop.name.enqueue() for _ in range(8)]
        assert {handle.result(PATIENCE) for handle in handles} == {"made 0 1"}
    assert len(made) == 1


def test_a_missing_application_is_named(redis_url: str) -> None:
    shop = Shop(redis_url, AppContextMiddleware())
    with (
        EmbeddedWorker(shop.queue),
        pytest.raises(TaskFailed, match=r"AppContextMiddleware: .*call init_app\(app\)"),
    ):
        shop.name.enqueue().result(PATIENCE)
    with pytest.raises(ValueError, match="give 'module:name'"):
        AppContextMiddleware(factory="create_app")


def test_the_last_application_counts(redis_url: str) -> None:
    in_app = AppContextMiddleware(Flask("first"))
    shop = Shop(redis_url, in_app)
    app = shop.app("second")
    in_app.init_app(app)
    assert app.extensions["fluxqueue"] is in_app
    with EmbeddedWorker(shop.queue):
        assert shop.name.enqueue().result(PATIENCE) == "second 1"


def test_the_example_of_the_page_runs(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs/flask.md").read_text()
    [source] = [block for block in page.split("```") if block.startswith("python\n# shop.py")]
    monkeypatch.setenv("FLUXQUEUE_REDIS_URL", redis_url)
    shop: Any = ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", shop)
    exec(compile(source.removeprefix("python"), "shop.py", "exec", dont_inherit=True), vars(shop))
    with EmbeddedWorker(shop.queue):
        client = shop.create_app().test_client()
        task_id = client.post("/greetings/Ada").json["id"]
        assert client.get(f"/greetings/{task_id}").json == {"greeting": "Hello, Ada"}
