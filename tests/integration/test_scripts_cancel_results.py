"""A cancel tells the result of a task that waits, and its end tells none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import randbits
from typing import Any

import pytest
from fluxqueue_core import parse_message, raise_deliveries
from support.outcomes import channel
from support.scripts import Outcome, Scripts, field, message

pytestmark = pytest.mark.versions
# Channels know no database: another test must not have the id.
N = randbits(48)


def id_of(of: bytes) -> str:
    return of[13:49].decode()


def kept(scripts: Scripts, of: bytes) -> Any:
    """The result of a message's task, decoded."""
    found = scripts.redis.get(scripts.key("result", id_of(of)))
    return found and json.loads(found)


@contextmanager
def told(scripts: Scripts, of: bytes) -> Iterator[list[Any]]:
    """The news of the task's channel, complete at the end of the block."""
    news: list[Any] = []
    with scripts.redis.pubsub() as listener:
        listener.subscribe(channel(id_of(of), scripts.queue))
        while listener.get_message(timeout=1) is None:
            pass
        yield news
        while (found := listener.get_message(timeout=0.1)) is not None:
            news.append(json.loads(found["data"]))


def put(scripts: Scripts, where: str, of: bytes) -> None:
    if where == "delayed":
        scripts.redis.zadd(scripts.key("delayed"), {of: scripts.now() + 60_000})
    elif where == "prioritized":
        scripts.enqueue_ranked(message(9, opts='{"p":9}'), of)
    else:
        scripts.redis.lpush(scripts.key(where), of)


@pytest.mark.parametrize("where", ["pending", "suspects", "delayed", "prioritized"])
def test_the_cancel_of_a_waiting_task_is_told_once_and_its_end_tells_nothing(
    scripts: Scripts, where: str
) -> None:
    of = message(N, opts='{"p":5,"r":60000}', retries=2, deliveries=2 if where == "suspects" else 0)
    put(scripts, where, of)
    with told(scripts, of) as news:
        assert [scripts.cancel(of) for _ in range(2)] == ["cancelled"] * 2
        outcome = {"state": "cancelled", "error": {"text": ""}, "attempts": 2, "finished": 7}
        assert kept(scripts, of) == outcome
        assert 50_000 < scripts.redis.pttl(scripts.key("result", id_of(of))) <= 60_000
        scripts.open("c")
        source = "suspects" if where == "suspects" else "pending"
        claimed = scripts.exchange("c", 2, source=source).claimed
        [condemned] = [m for m in claimed if id_of(m) == id_of(of)]
        assert condemned == message(
            N, opts='{"e":2,"p":5}', retries=2, deliveries=2 if where == "suspects" else 0
        )
        scripts.exchange("c", outcomes=[Outcome(field(of), "cancelled")])
    assert news == [outcome] and kept(scripts, of) == outcome
    assert scripts.stats() == {"cancelled": 1} and scripts.cancelled() == set()


@pytest.mark.parametrize(
    ("opts", "left"),
    [
        ('{"r":60000}', '{"e":2}'),
        ('{"r":60000,"u":"ab:5"}', '{"e":2,"u":"ab:5"}'),
        ('{"later":"r","r":1}', '{"e":2,"later":"r"}'),
        ('{"e":2,"r":60000,"s":3}', '{"e":2,"s":3}'),
        ('{"e":2,"r":60000}', '{"e":2}'),
    ],
)
def test_only_the_time_of_the_result_leaves_the_options(
    scripts: Scripts, opts: str, left: str
) -> None:
    of = message(N, opts=opts)
    scripts.enqueue(of)
    assert scripts.cancel(of) == "cancelled"
    assert scripts.list("pending") == [message(N, opts=left)]
    assert kept(scripts, of) is not None or '"r":1}' in opts


def test_the_largest_options_have_room_for_the_mark(scripts: Scripts) -> None:
    of = message(N, opts='{"r":1,"z":"' + "z" * (512 - 14) + '"}')
    assert len(parse_message(of)["opts"]) == 512
    scripts.enqueue(of)
    scripts.cancel(of)
    assert parse_message(scripts.list("pending")[0])["condemned"] == "cancelled"


@pytest.mark.parametrize(
    "opts", ["", '{"p":5}', '{"r":0}', '{"e":1,"r":60000}', '{"r":12345678901234}']
)
def test_a_task_without_a_result_or_one_that_has_expired_tells_nothing(
    scripts: Scripts, opts: str
) -> None:
    of = message(N, opts=opts)
    scripts.enqueue(of)
    with told(scripts, of) as news:
        assert scripts.cancel(of) == "cancelled"
    assert news == [] and kept(scripts, of) is None
    [home] = scripts.list("pending")
    assert (b'"r":' in home) == ("r" in opts)


def test_a_task_that_a_worker_holds_is_not_told(scripts: Scripts) -> None:
    of = message(N, opts='{"r":60000}')
    scripts.claim("c", of)
    with told(scripts, of) as news:
        assert scripts.cancel(of) == "requested"
    assert news == [] and kept(scripts, of) is None


def test_the_outcome_replaces_a_report_of_progress(scripts: Scripts) -> None:
    of = message(N, opts='{"r":60000}', retries=1)
    scripts.redis.set(scripts.key("result", id_of(of)), '{"progress":{"done":1}}')
    scripts.redis.zadd(scripts.key("delayed"), {of: scripts.now() + 60_000})
    scripts.cancel(of)
    assert kept(scripts, of)["state"] == "cancelled"


def test_no_lost_worker_ends_a_condemned_task_in_another_way(scripts: Scripts) -> None:
    """Rule 18: it would be dead as worker_lost, after its callers were told that it is
    cancelled."""
    of = message(N, opts='{"r":60000}', deliveries=2)
    scripts.redis.lpush(scripts.key("suspects"), of)
    scripts.cancel(of)
    scripts.open("c")
    [held] = scripts.exchange("c", 1, source="suspects").claimed
    scripts.end_lease("c")
    scripts.be_swept()
    assert scripts.bury("c") == {field(held): held}
    assert raise_deliveries(held, 3) == (field(held), held, False)
    assert scripts.move("c", (field(held), "home", held, b"")) == [1, 0]
    assert scripts.list("suspects") == [held]
