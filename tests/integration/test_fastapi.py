"""FluxQueue in a FastAPI application, by its TestClient and by a real server."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from fluxqueue import ConfigurationError, FluxQueue
from fluxqueue.fastapi import lifespan, task_handle
from redis import Redis
from support.raw_messages import pending
from support.waiting import PATIENCE, wait_until
from support.web_process import WebProcess

# The task reports, and ends when there is a file `go`.
APP = """
import os, time
from contextlib import asynccontextmanager
from typing import Annotated, Any
from fastapi import Depends, FastAPI, Request
from fluxqueue import Context, FluxQueue, TaskHandle
from fluxqueue.fastapi import lifespan, progress_events, task_handle
from fluxqueue_dashboard.app import dashboard

FOLDER = os.path.dirname(__file__)
queue = FluxQueue()
happened = []

@queue.task_with_context(result_ttl=60, max_retries=0)
def pack(ctx: Context, parts: int) -> int:
    happened.append("task")
    if parts < 0:
        raise ValueError("fewer than no parts")
    for done in range(parts):
        ctx.progress(done + 1, parts, 'a "note"\\nof two lines')
        while not os.path.exists(os.path.join(FOLDER, "go")):
            time.sleep(0.01)
    return parts

@asynccontextmanager
async def own(app):
    happened.append("begin")
    yield {"colour": "green"}
    happened.append("end")

def made(**options):
    app = FastAPI(lifespan=lifespan(queue, app_lifespan=own, **options))
    app.mount("/queues", dashboard())
    Handle = Annotated[TaskHandle[Any], Depends(task_handle(queue))]

    @app.post("/tasks")
    def place(parts: int = 1) -> str:
        return pack.enqueue(parts).id

    @app.get("/tasks/{task_id}")
    async def result(handle: Handle) -> str:
        return handle.id

    @app.get("/tasks/{task_id}/result")
    async def result(handle: Handle) -> int:
        return await handle.result_async(30)

    @app.get("/tasks/{task_id}/events")
    async def events(handle: Handle):
        return progress_events(handle, keep_alive=0.05)

    @app.get("/colour")
    async def colour(request: Request) -> str:
        return request.state.colour

    return app

app, app_with_worker = made(), made(run_worker=True, concurrency=1)
"""


@pytest.fixture
def shop(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the application."""
    monkeypatch.setenv("FLUXQUEUE_REDIS_URL", redis_url)
    return made(APP, tmp_path, monkeypatch)


def made(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns a module of this source."""
    module = ModuleType("shop")
    module.__file__ = str(folder / "app.py")
    monkeypatch.setitem(sys.modules, "shop", module)
    exec(compile(source, "app.py", "exec", dont_inherit=True), vars(module))
    return module


def place(client: TestClient, parts: int) -> str:
    answer = client.post("/tasks", params={"parts": parts})
    return str(answer.json())


def test_a_request_enqueues_and_the_same_process_runs_the_task(shop: Any, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with TestClient(shop.app_with_worker) as client:
        task_id = place(client, 3)
        assert client.get(f"/tasks/{task_id}/result").json() == 3
        assert client.get("/colour").json() == "green"
        assert client.get("/queues/").status_code == 200
    assert shop.happened == ["begin", "task", "end"]


def test_the_worker_drains_before_the_lifespan_of_the_application_ends(
    shop: Any, tmp_path: Path, redis: Redis
) -> None:
    with TestClient(shop.app_with_worker) as client:
        place(client, 1)
        wait_until(lambda: "task" in shop.happened)
        place(client, 1)
        going = threading.Timer(0.05, (tmp_path / "go").touch)
        going.start()
    going.join()
    assert shop.happened == ["begin", "task", "end"]
    assert len(pending(redis)) == 1


def print_nothing() -> None: ...


def test_the_application_starts_without_redis() -> None:
    queue = FluxQueue("redis://127.0.0.1:1/0")
    queue.task()(print_nothing)
    with TestClient(FastAPI(lifespan=lifespan(queue, run_worker=True))) as client:
        assert client.get("/docs").status_code == 200


def test_unknown_tasks_are_not_found_and_others_are(shop: Any, tmp_path: Path) -> None:
    @shop.queue.task(max_retries=0)  # type: ignore[untyped-decorator]
    def fail() -> None:
        raise ValueError

    handles = {
        "waits": shop.pack.enqueue(1),
        "is delayed": shop.pack.options(delay=60).enqueue(1),
        "dies": fail.enqueue(),
        "is named": shop.pack.options(task_id="order-7").enqueue(1),
    }
    unknown = ["1", "x" * 300, "01a2316f-09af-7458-a583-2b4a06abc418", "%ED%A0%80"]
    with TestClient(shop.app) as client:
        before = {why: client.get(f"/tasks/{h.id}").status_code for why, h in handles.items()}
        assert set(before.values()) == {200}, before
        assert client.get("/tasks/order-7").json() == handles["is named"].id
        for task_id in unknown:
            answer = client.get(f"/tasks/{task_id}")
            assert (answer.status_code, answer.json()["detail"]) == (404, "there is no such task")
    (tmp_path / "go").touch()
    with TestClient(shop.app_with_worker) as client:
        for why in ("waits", "is named"):
            handles[why].result(PATIENCE)
        after = {why: client.get(f"/tasks/{h.id}").status_code for why, h in handles.items()}
        assert set(after.values()) == {200}, after


def test_the_example_of_the_page_runs(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/fastapi.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    [app] = [block for block in blocks if block.startswith("# app.py")]
    [test] = [block for block in blocks if block.startswith("with TestClient")]
    monkeypatch.setenv("FLUXQUEUE_REDIS_URL", redis_url)
    program = "\n".join([app, "from fastapi.testclient import TestClient", test])
    shop = made(program, tmp_path, monkeypatch)
    assert shop.task_id


def test_wrong_arguments_say_so(redis_url: str) -> None:
    queue = FluxQueue(redis_url)
    wrong: Any = FastAPI()
    with pytest.raises(TypeError, match=r"takes FluxQueue objects, not FastAPI; .*app_lifespan"):
        lifespan(wrong)
    with pytest.raises(ConfigurationError, match="concurrency: give run_worker=True"):
        lifespan(queue, concurrency=2)
    with pytest.raises(ConfigurationError, match="concurrency: '0'"):
        lifespan(queue, run_worker=True, concurrency=0)
    with pytest.raises(ConfigurationError, match="queue name"):
        task_handle(queue, queue="a b")


@pytest.mark.parametrize(
    ("missing", "call"),
    [
        ("fluxqueue_worker", "lifespan(queue, run_worker=True)"),
        ("fluxqueue_control", "task_handle(queue)"),
    ],
)
def test_a_missing_package_is_named(missing: str, call: str) -> None:
    program = (
        f"import sys\nsys.modules[{missing!r}] = None\n"
        "from fluxqueue import ConfigurationError, FluxQueue\n"
        "from fluxqueue.fastapi import lifespan, task_handle\n"
        "queue = FluxQueue()\nlifespan(queue)\ntask_handle(queue, check=False)\n"
        f"try:\n    {call}\nexcept ConfigurationError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    package = missing.replace("_", "-")
    assert f"needs the package {package}, which is not installed" in done.stdout, done.stdout
    assert f"--find-links wheels {package}" in done.stdout


def events_of(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Yields each event with its data, and comments as events without a name."""
    name = ""
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
        elif line.startswith(":"):
            yield "", line


def test_progress_is_streamed_to_the_end_or_until_the_client_goes(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    with WebProcess(tmp_path, redis_url, APP, "uvicorn", "app:app_with_worker") as web:

        def stream(task_id: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
            connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=PATIENCE)
            connection.request("GET", f"/tasks/{task_id}/events")
            return connection, connection.getresponse()

        task_id = json.loads(web.post("/tasks?parts=2")[1])
        connection, answer = stream(task_id)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        events = events_of(answer)
        name, first = next(event for event in events if event[0])
        assert (name, first["done"], first["total"], first["fraction"]) == ("progress", 1, 2, 0.5)
        assert first["note"] == 'a "note"\nof two lines' and first["at"].endswith("+00:00")
        assert next(events) == ("", ": keep-alive")

        waiting = json.loads(web.post("/tasks")[1])
        leaving, _ = stream(waiting)
        wait_until(lambda: len(redis.pubsub_channels("*")) == 2)
        leaving.close()
        wait_until(lambda: len(redis.pubsub_channels("*")) == 1)

        (tmp_path / "go").touch()
        rest = [event for event in events if event[0]]
        assert rest[-1] == ("end", {"status": "succeeded"})
        connection.close()
        # A browser that connects again learns the end too.
        status, again = web.get(f"/tasks/{task_id}/events")
        assert (status, again) == (200, 'event: end\ndata: {"status":"succeeded"}\n\n')
        failing = json.loads(web.post("/tasks?parts=-1")[1])
        assert web.get(f"/tasks/{failing}/events")[1].endswith('{"status":"failed"}\n\n')
        assert web.stop() == -signal.SIGTERM, web.output()
