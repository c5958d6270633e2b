"""The rights for the exporter of a scheduler: enough, and none too many."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from support import acl
from support.ports import free_port
from support.probing import get
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until

SECTION = acl.PAGE.split("### Rights for the exporter\n", 1)[1]
SAMPLE = 'fluxqueue_tasks{queue="q",state="pending"} 1\n'


def rights() -> list[str]:
    """The rights that docs/security.md adds."""
    [line] = re.findall(r"```acl-exporter\nscheduler (.*?)\n```", SECTION)
    return str(line).split()


@pytest.mark.parametrize("missing", ["", "+set", "+hgetall", "+zcount"])
def test_the_rights_are_enough_and_a_missing_one_hides_no_more_than_it_must(
    server: EmbeddedRedis, admin: Any, tmp_path: Path, missing: str
) -> None:
    rules = acl.lines(acl.version_of(admin))["scheduler"]
    acl.create(admin, "scheduler", [*rules, *(right for right in rights() if right != missing)])
    admin.sadd(key("queues"), "q")
    admin.lpush(key("pending", "q"), "a message")
    port, url = free_port(), acl.url("scheduler", f"{server.url}/0")
    with SchedulerProcess(tmp_path, url, lease=1, health_port=port, exporter=True) as process:
        process.wait_for("scheduler.started")
        wait_until(
            lambda: SAMPLE in get(port, "/metrics")[1], what=lambda: get(port, "/metrics")[1]
        )
        status, _ = get(port, "/backlog?queue=q")
    assert status == (503 if missing == "+zcount" else 200)
    assert admin.exists(key("watched", "q")) == (missing != "+set")
    refused = {str(entry["object"]) for entry in acl.refused(admin)}
    assert refused == ({missing.removeprefix("+")} if missing else set())
