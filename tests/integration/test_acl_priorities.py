"""The rights of a client whose tasks have priorities: enough, and none too many."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fluxqueue import BrokerError, FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from support import acl

pytestmark = pytest.mark.versions


def rights() -> list[str]:
    """The rights that docs/security.md adds."""
    [found] = re.findall(r"whose tasks have a `priority` .+? Add `([^`]+)`", acl.PAGE, re.DOTALL)
    return list(found.split())


def enqueue(server: EmbeddedRedis) -> None:
    app = FluxQueue(acl.url("client", f"{server.url}/0"))

    @app.task(queue="q", priority=5)
    def work(number: int) -> None: ...

    try:
        work(1)
        work.enqueue_many([(2,), (3,)])
    finally:
        app.close()


def lengths(admin: Any) -> tuple[int, int]:
    return admin.llen(key("pending", "q")), admin.zcard(key("prioritized", "q"))


def test_the_rights_are_enough_and_without_one_nothing_is_enqueued_in_part(
    server: EmbeddedRedis, admin: Any
) -> None:
    rules = [*acl.lines(acl.version_of(admin))["client"], *rights()]
    acl.create(admin, "client", rules)
    enqueue(server)
    assert lengths(admin) == (1, 2)
    assert acl.refused(admin) == []
    for right in rights():
        admin.flushall()
        admin.script_flush()
        acl.create(admin, "client", [rule for rule in rules if rule != right])
        with pytest.raises(BrokerError):
            enqueue(server)
        # The first call may have been whole: it is one message at the head of pending.
        assert lengths(admin) in ((0, 0), (1, 0)), right
