"""The rights of a client with unique tasks: enough, and none too many."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fluxqueue import BrokerError, FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from support import acl

pytestmark = pytest.mark.versions
SECTION = acl.PAGE.split("### Rights for unique tasks\n", 1)[1]


def rights(sentence: str = r"```acl-unique\nclient ([^\n]+)\n") -> list[str]:
    """The rights that docs/security.md adds."""
    [found] = re.findall(sentence, SECTION)
    return list(found.split())


def replacing() -> list[str]:
    return rights(r"or `debounce` also need `([^`]+)`")


def with_a_priority() -> list[str]:
    return rights(r"those with a priority `([^`]+)`")


def enqueue(server: EmbeddedRedis, **options: Any) -> None:
    app = FluxQueue(acl.url("client", f"{server.url}/0"))

    @app.task(queue="q", unique=True, **options)
    def work(number: int) -> None: ...

    try:
        assert work.enqueue(1).created
        work.enqueue_many([(1,), (2,)])
        work.options(delay=60).enqueue(3)
        work.options(delay=60).enqueue(3)
    finally:
        app.close()


def left(admin: Any) -> int:
    return int(admin.llen(key("pending", "q"))) + int(admin.zcard(key("delayed", "q")))


@pytest.mark.parametrize("kind", ["skip", "replace", "priority"])
def test_the_rights_are_enough_and_without_one_nothing_is_enqueued(
    server: EmbeddedRedis, admin: Any, kind: str
) -> None:
    cases: dict[str, tuple[list[str], dict[str, Any]]] = {
        "skip": (rights(), {}),
        "replace": (replacing(), {"on_conflict": "replace"}),
        "priority": (with_a_priority(), {"priority": 5}),
    }
    added, options = cases[kind]
    rules = [*acl.lines(acl.version_of(admin))["client"], *rights(), *added]
    acl.create(admin, "client", rules)
    enqueue(server, **options)
    assert left(admin) + admin.zcard(key("prioritized", "q")) == 3
    assert acl.refused(admin) == []
    for right in added:
        admin.flushall()
        admin.script_flush()
        acl.create(admin, "client", [rule for rule in rules if rule != right])
        with pytest.raises(BrokerError):
            enqueue(server, **options)
        if kind == "skip":
            assert admin.keys("*") == [], right


def test_a_scheduler_needs_no_other_right_to_free_a_lock() -> None:
    scheduler = acl.commands(acl.lines("7")["scheduler"])
    assert {"hget", "hdel", "hset"} <= scheduler
    assert rights(r"```acl-unique\n[^\n]+\nscheduler ([^\n]+)\n") == ["+pexpire"]
    assert "pexpire" not in scheduler
