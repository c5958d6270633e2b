"""Effects that enqueue the call which follows the end of a task."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_core import key
from redis.exceptions import ResponseError
from support.scripts import Outcome, Scripts, field, message

pytestmark = pytest.mark.versions

DEAD, EXPIRED, GONE = (message(n) for n in range(1, 4))
CALLS = {of: message(n + 10, name="alert") for n, of in enumerate((DEAD, EXPIRED, GONE))}


def call(scripts: Scripts, of: bytes, queue: str = "q") -> Outcome:
    """The effect of an outcome. Its key goes where others have their field."""
    return Outcome(key("pending", queue).encode(), "push", CALLS[of])


def settle(scripts: Scripts, queue: str = "q", **options: Any) -> None:
    outcomes = [
        *(call(scripts, DEAD, queue), Outcome(field(DEAD), "dead", b"{}")),
        *(call(scripts, EXPIRED, queue), Outcome(field(EXPIRED), "expired")),
        *(call(scripts, GONE, queue), Outcome(field(GONE), "dead", b"{}")),
    ]
    scripts.exchange("c", outcomes=outcomes, **options)


@pytest.mark.parametrize("save_dead", [True, False])
def test_an_end_enqueues_its_call_once(scripts: Scripts, save_dead: bool) -> None:
    """Even if dead tasks are discarded. A message not held triggers no call."""
    scripts.claim("c", DEAD, EXPIRED)
    settle(scripts, save_dead=save_dead)
    assert scripts.list("pending") == [CALLS[DEAD], CALLS[EXPIRED]]
    assert list(scripts.dead()) == ([field(DEAD)] if save_dead else [])
    assert scripts.stats() == {"dead": 1, "expired": 1}
    settle(scripts, save_dead=save_dead)
    assert len(scripts.list("pending")) == 2


def test_a_call_can_go_to_another_queue(scripts: Scripts) -> None:
    scripts.claim("c", DEAD, EXPIRED)
    settle(scripts, "other")
    assert scripts.redis.lrange(key("pending", "other"), 0, -1) == [CALLS[EXPIRED], CALLS[DEAD]]
    assert scripts.list("pending") == []


def test_a_scheduler_enqueues_the_call_with_the_third_loss(scripts: Scripts) -> None:
    scripts.claim("c", DEAD, EXPIRED)
    moves = [
        (*call(scripts, DEAD)[:3], b""),
        (field(DEAD), "dead", DEAD, b"{}"),
        (field(EXPIRED), "home", EXPIRED, b""),
        (*call(scripts, GONE)[:3], b""),
        (field(GONE), "dead", GONE, b"{}"),
    ]
    assert scripts.move("c", *moves) == [1, 1]
    assert scripts.list("pending") == [EXPIRED, CALLS[DEAD]]
    assert scripts.move("c", *moves) == [0, 0]
    assert len(scripts.list("pending")) == 2


def test_a_queue_that_can_not_be_written_is_replaced_by_that_of_the_task(scripts: Scripts) -> None:
    scripts.redis.set(key("pending", "other"), "no list")
    scripts.claim("c", DEAD, EXPIRED)
    settle(scripts, "other")
    assert scripts.list("pending") == [CALLS[DEAD], CALLS[EXPIRED]]
    assert scripts.held("c") == {}


def test_without_the_right_to_push_the_call_is_delayed_until_now(scripts: Scripts) -> None:
    scripts.claim("c", DEAD, EXPIRED)
    redis = scripts.redis
    redis.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", "-lpush")
    try:
        redis.execute_command("AUTH", "poor", "pw")
        settle(scripts)
    finally:
        redis.connection_pool.disconnect()
        redis.execute_command("ACL", "DELUSER", "poor")
    assert redis.zrange(scripts.key("delayed"), 0, -1) == sorted((CALLS[DEAD], CALLS[EXPIRED]))
    assert scripts.promote()
    assert len(scripts.list("pending")) == 2


@pytest.mark.parametrize("kind", ["dead:reasons", "stats"])
def test_an_end_that_can_not_be_written_enqueues_no_call(scripts: Scripts, kind: str) -> None:
    """Otherwise each further try would call again."""
    scripts.claim("c", DEAD, EXPIRED)
    scripts.redis.set(scripts.key(kind), "wrong")
    for _ in range(2):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            settle(scripts)
    assert scripts.list("pending") == [] and len(scripts.held("c")) == 2
