"""The rights of a client that cancels tasks: enough, and none too many."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue import BrokerError
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import Producer, Settings, key
from support import acl
from support.scripts import DAY, Scripts, message

pytestmark = pytest.mark.versions


def cancel(server: EmbeddedRedis, admin: Any) -> None:
    """Cancels a task in each place where it can be. One of them keeps a result."""
    admin.flushall()
    user = Producer(Settings(acl.url("client", f"{server.url}/0")))
    by_hand = Scripts(admin)
    of = [message(number, opts='{"p":5}' if number == 1 else "") for number in range(5)]
    of[0] = message(0, opts='{"r":60000}')
    of[2] = message(2, deliveries=2)
    by_hand.open("c")
    by_hand.claim("c", of[4])
    by_hand.enqueue(of[0], message(7, opts='{"p":3}'))
    admin.zadd(by_hand.key("prioritized"), {of[1]: 1})
    admin.rpush(by_hand.key("suspects"), of[2])
    admin.zadd(by_hand.key("delayed"), {of[3]: by_hand.now() + DAY})
    verdicts = [user.cancel("q", m[13:49].decode()) for m in of]
    assert verdicts == ["cancelled"] * 4 + ["requested"]
    assert admin.exists(key("result", "q", of[0][13:49].decode()))
    assert user.cancel("q", message(9)[13:49].decode()) == "already_done"


@pytest.mark.parametrize("version", acl.VERSIONS)
def test_a_client_that_cancels_has_the_rights_of_the_page_and_none_too_many(
    server: EmbeddedRedis, admin: Any, version: str
) -> None:
    if version not in acl.versions_for(admin):
        pytest.skip("this server does not know the lines for Redis 7")
    rules, more = acl.lines(version)["client"], acl.of_cancelling()
    # The index of results needs one more, which stops nothing if it is missing.
    assert "add `+pexpire`" in acl.PAGE
    acl.create(admin, "client", [*rules, *more, "+pexpire"])
    cancel(server, admin)
    assert acl.refused(admin) == []
    needless, causes = [], []
    for right in more:
        if right.startswith("+"):
            admin.script_flush()
            acl.create(admin, "client", [*rules, *(r for r in more if r != right)])
            try:
                cancel(server, admin)
            except BrokerError as error:
                causes.append(str(error))
            else:
                needless.append(right)
    assert needless == []
    assert all("docs/security.md" in cause for cause in causes)
