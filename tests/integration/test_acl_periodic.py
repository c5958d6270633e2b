"""The rights for periodic tasks: enough, and a client's none too many."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerError, FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from support import acl
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.versions

APP = """
@fluxqueue.periodic(every=1)
@fluxqueue.periodic(every=1, id="ranked", call_options={"priority": 3}, jitter=0.5)
@fluxqueue.task()
def work():
    note("run")
"""
ALONE = """
@fluxqueue.periodic(every=1, overlap="skip")
@fluxqueue.task()
def work():
    note("run")
"""


def rights() -> list[str]:
    """The rights that docs/security.md adds."""
    [found] = re.findall(
        r"client that \[schedules\]\S+ periodic tasks needs `([^`]+)`", acl.PAGE, re.DOTALL
    )
    return list(found.split())


def change(server: EmbeddedRedis) -> None:
    app = FluxQueue(acl.url("client", f"{server.url}/0"))

    @app.task(queue="q")
    def work(number: int) -> None: ...

    try:
        app.schedule("a", work.call(1), every=5)
        app.schedule("a", work.call(2), every=5)
        app.unschedule("a", queue="q")
    finally:
        app.close()


def test_the_rights_of_a_client_are_enough_and_each_is_needed(
    server: EmbeddedRedis, admin: Any
) -> None:
    rules = [*acl.lines(acl.version_of(admin))["client"], *rights()]
    acl.create(admin, "client", rules)
    change(server)
    assert acl.refused(admin) == []
    for right in rights():
        admin.flushall()
        admin.script_flush()
        acl.create(admin, "client", [rule for rule in rules if rule != right])
        with pytest.raises(BrokerError):
            change(server)


@contextmanager
def running(
    server: EmbeddedRedis, admin: Any, tmp_path: Path, app: str
) -> Iterator[tuple[WorkerProcess, SchedulerProcess]]:
    """A worker and a scheduler with the rights of the page."""
    lines = acl.lines(acl.version_of(admin))
    for role in ("worker", "scheduler"):
        acl.create(admin, role, lines[role])
    folder = tmp_path / "scheduler"
    folder.mkdir()
    url = f"{server.url}/0"
    with (
        WorkerProcess(tmp_path, acl.url("worker", url), app) as worker,
        SchedulerProcess(folder, acl.url("scheduler", url)) as scheduler,
    ):
        yield worker, scheduler


def test_worker_and_scheduler_need_no_more_rights(
    server: EmbeddedRedis, admin: Any, tmp_path: Path
) -> None:
    with running(server, admin, tmp_path, APP) as (worker, scheduler):
        wait_until(lambda: len(worker.notes()) >= 6, what=scheduler.output)
        # The scheduler stops what no worker declares, by these rights.
        worker.stop()
        assert admin.hlen(key("periodic", "default")) == 2
    assert acl.refused(admin) == []


def test_runs_that_may_not_overlap_need_one_more_right(
    server: EmbeddedRedis, admin: Any, tmp_path: Path
) -> None:
    with running(server, admin, tmp_path, ALONE) as (worker, scheduler):
        scheduler.wait_for("queue.failed", queue="default", doing="tick")
        assert worker.notes() == []
        of_scheduler = acl.lines(acl.version_of(admin))["scheduler"]
        acl.create(admin, "scheduler", [*of_scheduler, "+pexpire"])
        wait_until(lambda: len(worker.notes()) >= 2, what=scheduler.output)
