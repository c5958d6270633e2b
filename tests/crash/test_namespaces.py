"""Two applications in one Redis, with the same names of queues and tasks.

Each has its client, worker and scheduler. One is in a namespace, the other in the default one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control import dead, registry, workers
from fluxqueue_control.queues import Lengths, read_lengths
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings, key, key_kinds
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess, read_notes

LEASE = 2
APP = """
@fluxqueue.task()
def work(of):
    note(f"work {of}")

@fluxqueue.task_with_context(retry_delay=0.05)
def fail_once(ctx: Context, of):
    note(f"fail_once {of}")
    assert ctx.metadata.retries

@fluxqueue.task(max_retries=0)
def fail(of):
    assert False, of

@fluxqueue.task()
def hold(of):
    note(f"hold {of}")
    while not os.path.exists("open"):
        time.sleep(0.01)
    note(f"held {of}")
"""


class Application:
    """One of them; `name` is its namespace."""

    def __init__(self, name: str, folder: Path, redis_url: str, stack: ExitStack) -> None:
        self.name = name
        self.folder = folder / (name or "default")
        self.folder.mkdir()
        self._url = redis_url
        self._stack = stack
        self._client = FluxQueue(redis_url, namespace=name)
        stack.callback(self._client.close)
        self.settings = Settings(redis_url, namespace=name)
        self.redis = RedisClient(self.settings, 5.0)
        stack.callback(self.redis.close)

    def send(self, task: str, count: int = 1) -> None:
        declared = self._client.task(name=task)(lambda of: None)
        assert declared.enqueue_many([(self.name,)] * count) == count

    def start_worker(self) -> WorkerProcess:
        worker = WorkerProcess(
            self.folder,
            self._url,
            APP,
            variables={"FLUXQUEUE_NAMESPACE": self.name},
            lease=LEASE,
        )
        self._stack.enter_context(worker)
        worker.wait_for("worker.connected")
        return worker

    def start_scheduler(self) -> SchedulerProcess:
        options = {"namespace": self.name} if self.name else {}
        scheduler = SchedulerProcess(self.folder, self._url, lease=LEASE, **options)
        return self._stack.enter_context(scheduler)

    def notes(self) -> list[str]:
        return sorted(read_notes(self.folder))

    def wait_for_note(self, text: str) -> None:
        wait_until(lambda: f"{text} {self.name}" in self.notes())

    def wait_until_settled(self, dead: int) -> None:
        wait_until(lambda: self.lengths() == Lengths(0, 0, 0, 0, dead))

    def lengths(self) -> Lengths:
        return read_lengths(self.redis, ["default"])["default"]

    def died_of(self) -> set[str]:
        """The errors of the dead tasks."""
        return {task.error for task in dead.read_page(self.redis, "default").tasks}


@pytest.fixture
def applications(tmp_path: Path, redis_url: str) -> Iterator[tuple[Application, Application]]:
    with ExitStack() as stack:
        yield (
            Application("", tmp_path, redis_url, stack),
            Application("shop", tmp_path, redis_url, stack),
        )


def test_two_applications_in_one_redis_never_meet(
    applications: tuple[Application, Application], redis: Any
) -> None:
    plain, shop = applications
    for each in applications:
        each.send("work", 20)
        each.send("fail_once", 5)
        each.send("fail")
    # The tasks of one application alone: the other can't see that they are there.
    worker = shop.start_worker()
    shop_scheduler = shop.start_scheduler()
    done = sorted(["work shop"] * 20 + ["fail_once shop"] * 10)
    wait_until(lambda: shop.notes() == done, what=worker.output)
    wait_until(lambda: shop.died_of() == {"AssertionError: shop"})
    assert worker.wait_for("worker.started")["namespace"] == "shop"
    assert shop_scheduler.wait_for("scheduler.started")["namespace"] == "shop"
    assert plain.lengths() == Lengths(pending=26, suspects=0, delayed=0, claimed=0, dead=0)
    assert registry.read_names(plain.redis).names == ()
    # Nothing is left to the worker and the scheduler of the default namespace but its own.
    plain_worker = plain.start_worker()
    plain.start_scheduler()
    done = sorted(["work "] * 20 + ["fail_once "] * 10)
    wait_until(lambda: plain.notes() == done, what=plain_worker.output)
    wait_until(lambda: plain.died_of() == {"AssertionError"})
    assert "namespace" not in plain_worker.wait_for("worker.started")
    # A rescue happens in the application of the lost worker only.
    for each in applications:
        each.send("hold")
        each.wait_for_note("hold")
    worker.kill()
    second = shop.start_worker()
    wait_until(lambda: shop.notes().count("hold shop") == 2, what=second.output)
    assert plain.notes().count("hold ") == 1
    for each in applications:
        (each.folder / "open").touch()
        each.wait_for_note("held")
        each.wait_until_settled(dead=1)
        assert registry.read_names(each.redis).names == ("default",)
        found = {w.identity["pid"]: w.state for w in workers.scan(each.redis, "default")}
        assert found == {(second if each is shop else plain_worker).pid: "alive"}
        servers = Servers(each.settings)
        assert read_lengths(servers.of_queue("default"), ["default"])["default"].dead == 1
        assert registry.read_names(servers.of_registry()).names == ("default",)
        servers.close()
    assert [line for w in (worker, second, plain_worker) for line in w.named("task.unknown")] == []
    assert redis.hget(key("stats", "default"), "rescued") is None
    assert redis.hget(key("stats", "default", namespace="shop"), "rescued") == b"1"
    assert second.stop() == 0 and plain_worker.stop() == 0


IN_CODE = """
import asyncio
shop = FluxQueue(None, namespace="shop")
blog = FluxQueue(None, namespace="blog")

@shop.task()
def first(number):
    asyncio.run(second(number))
    post(number)

@shop.task()
async def second(number):
    note(f"second {number}")

@blog.task()
def post(number):
    assert False, "this is the blog's"
"""


@pytest.mark.parametrize(
    ("namespace", "works_in"), [("shop", "shop"), ("staging", "staging"), ("", "shop")]
)
def test_the_tasks_of_a_worker_stay_in_its_namespace(
    tmp_path: Path, redis_url: str, redis: Any, namespace: str, works_in: str
) -> None:
    # The queue `default` has a task for the blog too: without an option, the worker must
    # know which object is its own. If the code puts none into its namespace, that is not clear.
    attribute = "app:shop" if namespace != "shop" else "app"
    options: dict[str, Any] = {"namespace": namespace} if namespace else {}
    with WorkerProcess(
        tmp_path, redis_url, IN_CODE, tasks_module_path=attribute, **options
    ) as worker:
        client = FluxQueue(redis_url, namespace=works_in)
        client.task(name="first")(lambda number: None)(7)
        wait_until(lambda: read_notes(tmp_path) == ["second 7"], what=worker.output)
        worker.wait_for("task.done", count=2)
        assert worker.wait_for("worker.started")["namespace"] == works_in
        replaced = [line["in_code"] for line in worker.named("worker.namespace_replaced")]
        assert replaced == (["shop"] if namespace == "staging" else [])
        # The blog's task waits for the blog's worker.
        assert redis.llen(key("pending", "default", namespace="blog")) == 1
        assert worker.stop() == 0
    assert redis.exists(key("stats", "default", namespace=works_in)) == 1
    for other in {"", "shop", "staging"} - {works_in}:
        assert not redis.exists(*(key(kind, "default", "", other) for kind in key_kinds()))


def test_a_worker_says_that_another_application_may_share_its_queue(
    applications: tuple[Application, Application], redis: Any
) -> None:
    plain, _ = applications
    worker = plain.start_worker()
    plain.send("of_another_application")
    line = worker.wait_for("task.unknown", name="of_another_application")
    assert "another application" in line["remedy"] and "--namespace" in line["remedy"]
    assert worker.stop() == 0
    assert redis.zcard(key("delayed", "default")) == 1
