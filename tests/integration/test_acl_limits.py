"""The rights for tasks with limits: enough, and none too many."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerError
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import Producer, Route, Settings, key
from support import acl
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.versions
SECTION = acl.PAGE.split("### Rights for limits\n", 1)[1]
DIGEST = "a" * 32
APP = """
@fluxqueue.task(queue="q", name="work")
def work(number):
    note(number)
"""


def rights(role: str) -> list[str]:
    """The rights that docs/security.md adds."""
    [block] = re.findall(r"```acl-limits\n(.*?)```", SECTION, re.DOTALL)
    [line] = re.findall(rf"^{role} (.+)$", block, re.MULTILINE)
    return str(line).replace("(", "").replace(")", "").split()


def enqueue(server: EmbeddedRedis, numbers: tuple[int, int, int], **terms: Any) -> None:
    producer = Producer(Settings(acl.url("client", f"{server.url}/0")))
    route = Route("q", "work", limit=numbers, **terms)
    try:
        for number in range(3):
            producer.enqueue(route, (number,), {}, limit=(DIGEST, "work [1]"))
    finally:
        producer.close()


@pytest.mark.parametrize("numbers", [(1, 0, 1), (0, 200_000, 1)])
def test_the_rights_of_a_client_are_enough(
    server: EmbeddedRedis, admin: Any, numbers: tuple[int, int, int]
) -> None:
    rules = [*acl.lines(acl.version_of(admin))["client"], *rights("client")]
    acl.create(admin, "client", rules)
    enqueue(server, numbers)
    assert admin.llen(key("pending", "q")) == 1
    assert admin.llen(key("limit:line", "q", DIGEST)) == 2
    assert acl.refused(admin) == []
    acl.create(admin, "client", [*rules, "+rpush"])
    enqueue(server, numbers, priority=5)
    assert acl.refused(admin) == []


def test_without_a_right_a_client_enqueues_nothing(server: EmbeddedRedis, admin: Any) -> None:
    rules = [*acl.lines(acl.version_of(admin))["client"], *rights("client")]
    # Those of a limit that is free, besides those that `enqueue_unique` needs anyway.
    for right in ("+hset", "+lpush", "+zrem", "+hmget", "~fluxqueue:{*}:limit*"):
        admin.flushall()
        admin.script_flush()
        acl.create(admin, "client", [rule for rule in rules if rule != right])
        with pytest.raises(BrokerError):
            enqueue(server, (1, 0, 1))
        assert admin.keys("fluxqueue:{q}:limit:*") + admin.keys("fluxqueue:{q}:pending") == []


def test_worker_and_scheduler_need_no_other_rights(
    server: EmbeddedRedis, admin: Any, tmp_path: Path
) -> None:
    version = acl.version_of(admin)
    for role in ("client", "worker", "scheduler"):
        acl.create(admin, role, [*acl.lines(version)[role], *rights(role)])
    url = f"{server.url}/0"
    enqueue(server, (1, 50_000, 1))
    with (
        WorkerProcess(tmp_path, acl.url("worker", url), APP, queue="q") as worker,
        SchedulerProcess(tmp_path, acl.url("scheduler", url)) as scheduler,
    ):
        wait_until(lambda: len(worker.notes()) == 3, what=worker.output)
        assert worker.notes() == ["0", "1", "2"]
        wait_until(lambda: not admin.keys("fluxqueue:{q}:limit*"), what=scheduler.output)
        assert worker.stop() == 0
    assert acl.refused(admin) == []
