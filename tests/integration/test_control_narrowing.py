"""A search looks only at the groups of dead tasks that can match, and ends in time."""

from __future__ import annotations

import random
from typing import Any

import pytest
from fluxqueue_control import groups, narrowing
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.search import Query, search
from fluxqueue_core import dead_reason
from support.operator_commands import objects, run
from support.scripts import Outcome, Scripts, field, message, messages
from support.waiting import wait_until

pytestmark = pytest.mark.versions


def die(scripts: Scripts, *deaths: tuple[bytes, str, str]) -> None:
    """Buries messages, each with a reason and an exception."""
    scripts.claim("c", *(raw for raw, _, _ in deaths))
    outcomes = [
        Outcome(
            field(raw),
            "dead",
            dead_reason(reason, f"{exception}: e", f"Traceback\n  x\n{exception}: e\n"),
            "1",
        )
        for raw, reason, exception in deaths
    ]
    scripts.exchange("c", outcomes=outcomes)


def be_grouped(control: RedisClient) -> None:
    wait_until(lambda: groups.add_new(control, "q") and not groups.count_ungrouped(control, "q"))


def found(control: RedisClient, query: Query, **rest: Any) -> list[int]:
    """The numbers of the dead tasks of all pages."""
    numbers: list[int] = []
    cursor = None
    while True:
        [hits] = search(control, "q", query, states=["dead"], cursor=cursor, **rest)
        numbers += [int(task.task_id[24:], 16) for task in hits.tasks]
        cursor = hits.cursor
        if cursor is None:
            return numbers


def looked(control: RedisClient, query: Query) -> int:
    return sum(hits.looked for hits in search(control, "q", query, states=["dead"], limit=1_000))


def test_only_groups_that_can_match_are_looked_through(
    scripts: Scripts, control: RedisClient, monkeypatch: Any
) -> None:
    die(scripts, *((message(n, name="a"), "failed", "KeyError") for n in range(300)))
    die(scripts, *((message(n, name="a.b"), "rejected", "KeyError") for n in range(300, 303)))
    die(scripts, (message(303, name="a.b"), "failed", "shop.Error"))
    be_grouped(control)
    expected = [
        (Query(name="a.b"), [303, 302, 301, 300]),
        (Query(name="a.*", reason="rejected"), [302, 301, 300]),
        (Query(exception="shop.Error"), [303]),
        (Query(reason="none"), []),
        (Query(name="a", exception="shop.Error"), []),
    ]
    for query, numbers in expected:
        assert sorted(found(control, query), reverse=True) == numbers, query
        assert looked(control, query) == len(numbers), query
    assert looked(control, Query(error="none")) == 304
    # A complete index is read without a try to write it, which a user may not have the right to.
    monkeypatch.setattr(narrowing, "add_new", None)
    assert looked(control, Query(name="a.b")) == 4


def test_pages_of_groups_are_in_the_order_of_the_dead_set(
    scripts: Scripts, control: RedisClient, chance: random.Random, monkeypatch: Any
) -> None:
    some = [
        (message(n, name=chance.choice("abc")), chance.choice(["x", "y"]), chance.choice("KL"))
        for n in range(200)
    ]
    die(scripts, *some)
    for raw, _, _ in some:
        scripts.redis.zadd(scripts.key("dead"), {field(raw): chance.randrange(1_000, 1_020)})
    query = Query(name="a", exception="K")
    with monkeypatch.context() as patched:
        patched.setattr(narrowing, "add_new", lambda *_: False)
        plain = found(control, query, limit=1_000)
        [first] = search(control, "q", query, states=["dead"], limit=5)
    be_grouped(control)
    assert len(plain) > 10
    for limit in (1, 2, 7, 1_000):
        assert found(control, query, limit=limit) == plain, limit
    # One that began without the index goes on with it.
    [rest] = search(control, "q", query, states=["dead"], cursor=first.cursor, limit=1_000)
    assert [int(task.task_id[24:], 16) for task in rest.tasks] == plain[5:]
    assert rest.looked == len(plain) - 5
    # A release without groups removes some, and the index does not know it yet.
    monkeypatch.setattr(narrowing, "add_new", lambda *_: True)
    scripts.redis.zrem(scripts.key("dead"), *(field(message(n)) for n in plain[5:9]))
    [rest] = search(control, "q", query, states=["dead"], cursor=first.cursor, limit=1_000)
    assert [int(task.task_id[24:], 16) for task in rest.tasks] == plain[9:]
    # If the last one of a page is gone, others may come twice.
    scripts.redis.zrem(scripts.key("dead"), first.tasks[-1].entry)
    [rest] = search(control, "q", query, states=["dead"], cursor=first.cursor, limit=1_000)
    assert {int(task.task_id[24:], 16) for task in rest.tasks} >= {*plain[9:]}
    assert len(rest.tasks) <= len(plain) - 5


@pytest.mark.parametrize(
    "name", ["ü" * 120, 'quo"ted', "back\\slash", "größe/日本"], ids=str.__len__
)
def test_names_that_the_index_cuts_are_found(
    scripts: Scripts, control: RedisClient, name: str
) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    die(scripts, (message(1, name=quoted), "failed", "K"), (message(2, name="b"), "failed", "K"))
    be_grouped(control)
    assert found(control, Query(name=name)) == [1]
    assert found(control, Query(name=f"{name}*")) == [1]
    assert found(control, Query(name=f"{name[:4]}*")) == [1]
    assert looked(control, Query(name=name)) == 1


def test_a_search_that_must_end_says_how_to_go_on(
    scripts: Scripts, control: RedisClient, redis_url: str
) -> None:
    die(scripts, *((raw, "failed", "K") for raw in messages(range(3_000, 3_100))))
    scripts.enqueue(*messages(range(3_000)))
    waiting, dead = search(control, "q", Query(text="none"), states=["waiting", "dead"], seconds=0)
    assert 400 <= waiting.looked < 3_000 and waiting.cursor is not None
    assert (dead.looked, dead.cursor) == (100, None)
    total = waiting.looked
    cursor: str | None = waiting.cursor
    while cursor is not None:
        rest: dict[str, Any] = {"states": ["waiting"], "cursor": cursor, "seconds": 0}
        [more] = search(control, "q", Query(text="none"), **rest)
        total, cursor = total + more.looked, more.cursor
    assert total == 3_000
    *tasks, last = objects(redis_url, "search", "-q", "q", "00000bb7", "--all", code=0)
    assert [task["state"] for task in tasks] == ["pending"]
    assert (last["looked"], last["more"]) == (3_100, [])
    *_, last = objects(redis_url, "search", "-q", "q", "none", "--most", "500", code=1)
    [ended] = last["more"]
    assert (ended["state"], ended["looked"]) == ("waiting", 500)
    where = ("-q", "q", "--state", "waiting", "--cursor", ended["cursor"])
    *_, last = objects(redis_url, "search", *where, "none", "--all", code=1)
    assert last["looked"] == 2_500
    _, said = run(redis_url, "search", "none", "--cursor", "x", code=2)
    assert "--cursor needs" in said
    _, said = run(redis_url, "search", "none", *where[:-1], "x", code=2)
    assert "'x' is not a cursor" in said
