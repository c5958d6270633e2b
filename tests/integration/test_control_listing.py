"""An operator lists the tasks of a queue by state, and searches them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fluxqueue_control import listing
from fluxqueue_control.listing import LISTED_STATES, ListedTask, read_tasks
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.search import Hits, Query, search
from fluxqueue_core import dead_reason, key
from fluxqueue_core.errors import ConfigurationError
from support.operator_commands import objects, run
from support.scripts import DAY, Outcome, Scripts, field, message, messages

pytestmark = pytest.mark.versions
RANKED = '{"p":5}'
LIMITED = '{"l":"%032x:1:0:1"}'


def number(task: ListedTask) -> int:
    return int(task.task_id[24:], 16)


def numbers(control: RedisClient, state: Any, limit: int = 100) -> list[int]:
    """The tasks of all pages."""
    found: list[int] = []
    cursor = None
    while True:
        page = read_tasks(control, "q", state, cursor, limit)
        assert len(page.tasks) <= limit
        found += map(number, page.tasks)
        cursor = page.cursor
        if cursor is None:
            return found


def limit_key(scripts: Scripts, digest: str, *of: bytes) -> None:
    scripts.redis.hset(scripts.key("limits:texts"), digest, "limit n")
    scripts.redis.lpush(scripts.key("limit:line", digest), *of)


def bury(scripts: Scripts, *deaths: tuple[bytes, bytes]) -> None:
    scripts.claim("c", *(raw for raw, _ in deaths))
    scripts.exchange("c", outcomes=[Outcome(field(raw), "dead", why, "1") for raw, why in deaths])


@pytest.fixture
def everywhere(scripts: Scripts) -> Scripts:
    """Two tasks or more in each state."""
    scripts.redis.sadd(key("queues"), "q")
    why = dead_reason("failed", "KeyError: 'a'", "Traceback\n  line")
    bury(scripts, *((raw, why) for raw in messages([1, 2])))
    for at in (1, 2):
        scripts.redis.zadd(scripts.key("dead"), {field(message(at)): 1_000 * at})
    for at, consumer in enumerate("de"):
        scripts.claim(consumer, *messages([10 + 2 * at, 11 + 2 * at]))
    scripts.enqueue_ranked(*messages([20, 21], opts=RANKED))
    scripts.redis.rpush(scripts.key("suspects"), message(22, deliveries=2))
    scripts.enqueue(*messages([23, 24]))
    later = scripts.now() + DAY
    scripts.redis.zadd(scripts.key("delayed"), {message(30): later, message(31): later + 1})
    for at in (40, 41, 42):
        limit_key(scripts, f"{at % 2:032x}", message(at, opts=LIMITED % (at % 2)))
    return scripts


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_each_state_is_listed_page_by_page(control: RedisClient, limit: int) -> None:
    assert numbers(control, "dead", limit) == [2, 1]
    assert numbers(control, "claimed", limit) == [10, 11, 12, 13]
    # One with a priority is always at the head of pending.
    assert numbers(control, "waiting", limit) == [21, 22, 20, 23, 24]
    assert numbers(control, "delayed", limit) == [30, 31]
    assert sorted(numbers(control, "limited", limit)) == [40, 41, 42]


def test_a_page_says_what_there_is_to_know(everywhere: Scripts, control: RedisClient) -> None:
    dead = read_tasks(control, "q", "dead").tasks[0]
    assert (dead.died_at, dead.reason, dead.error) == (2.0, "failed", "KeyError: 'a'")
    assert (dead.entry, dead.message, dead.name) == (field(message(2)), message(2), "n")
    delayed = read_tasks(control, "q", "delayed").tasks[0]
    assert delayed.due is not None and abs(delayed.due * 1_000 - everywhere.now() - DAY) < 60_000
    assert [task.consumer for task in listing.read_all(control, "q", "claimed")] == [*"ddee"]
    limits = {number(task): task.limit for task in listing.read_all(control, "q", "limited")}
    assert limits == {at: f"{at % 2:032x}" for at in (40, 41, 42)}


def test_a_message_that_is_cut_keeps_its_name(scripts: Scripts, control: RedisClient) -> None:
    large = message(1, name="large", args=b'["' + b"x" * 20_000 + b'"]')
    scripts.enqueue(large, b'{"v":1')
    first, second = read_tasks(control, "q", "waiting").tasks
    assert (first.name, first.size, first.is_whole) == ("large", len(large), False)
    assert first.parse() is None
    assert (second.name, second.is_whole, second.parse()) == (None, True, None)


@pytest.mark.usefixtures("everywhere")
def test_a_wrong_argument_is_refused(control: RedisClient) -> None:
    cursor = read_tasks(control, "q", "waiting", limit=1).cursor
    for wrong in ("", "x", "bnVsbA", "%" * 9, cursor):
        with pytest.raises(ValueError, match="cursor of dead tasks"):
            read_tasks(control, "q", "dead", wrong)
    with pytest.raises(ValueError, match="limit"):
        read_tasks(control, "q", "dead", limit=0)
    with pytest.raises(ValueError, match="none of"):
        read_tasks(control, "q", "odd")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        read_tasks(control, "a}b", "dead")


def found(control: RedisClient, query: Query, **rest: Any) -> list[int]:
    return [number(task) for hits in search(control, "q", query, **rest) for task in hits.tasks]


def test_tasks_are_found_by_what_they_have(scripts: Scripts, control: RedisClient) -> None:
    def call(at: int, **parts: Any) -> bytes:
        body = {"args": [], **parts}
        return (
            message(at, name=body.pop("name", "n"))[:-1].partition(b',"args":')[0]
            + ("," + json.dumps(body, separators=(",", ":"), ensure_ascii=False)[1:]).encode()
        )

    reasons = [
        dead_reason("failed", "KeyError: 'é\n\"x\"'", "Traceback\n  in mail.py"),
        dead_reason("rejected", "no"),
    ]
    bury(scripts, *zip([call(5, name="shop.mail", args=["ü"]), call(6)], reasons, strict=True))
    scripts.enqueue(
        call(1, name="shop.mail", kwargs={"order_id": 17}, headers={"team": "billing"}),
        call(2, name="shop.pay", args=[17, {"order_id": 17}], headers={"team": "other"}),
        call(3, name="shop.mail", args=[171], kwargs={"order_id": 170, "note": 'say "hi"'}),
        call(4, name="other", args=[{"deep": [{"order_id": "17", "name": "shop.mail"}]}]),
    )
    cases: list[tuple[Query, list[int]]] = [
        (Query(name="shop.mail"), [1, 3, 5]),
        (Query(name="shop.*"), [1, 2, 3, 5]),
        (Query(name="shop"), []),
        (Query(headers={"team": "billing"}), [1]),
        (Query(arguments={"order_id": "17"}), [1, 2, 4]),
        (Query(arguments={"order_id": "17"}, name="shop.pay"), [2]),
        (Query(arguments={"0": "17"}), [2]),
        (Query(arguments={"0": "ü"}), [5]),
        (Query(arguments={"note": 'say "hi"'}), [3]),
        (Query(reason="rejected"), [6]),
        (Query(error="KeyError: 'é\n\"x"), [5]),
        (Query(error="in mail.py"), [5]),
        (Query(text="billing"), [1]),
        (Query(text="mail.py"), [5]),
        (Query(text=message(3)[13:49].decode()), [3]),
    ]
    for query, wanted in cases:
        assert sorted(found(control, query)) == wanted, query
    assert found(control, Query(name="shop.*"), limit=2) == [1, 2]
    assert found(control, Query(name="shop.*"), states=["dead"]) == [5]


def test_a_search_says_how_far_it_got(scripts: Scripts, control: RedisClient) -> None:
    scripts.enqueue(*messages(range(5_000)))
    wanted = message(4_000)[13:49].decode()
    [hits] = search(control, "q", Query(text=wanted), states=["waiting"], most=3_000)
    assert (hits.looked, hits.tasks) == (3_000, []) and hits.cursor is not None
    cursor = hits.cursor
    [hits] = search(control, "q", Query(text=wanted), states=["waiting"], cursor=cursor)
    assert (hits.looked, hits.cursor) == (2_000, None) and [*map(number, hits.tasks)] == [4_000]
    assert list(search(control, "q", Query(text="none"))) == [
        Hits(state, [], 5_000 if state == "waiting" else 0, None) for state in LISTED_STATES
    ]


@pytest.mark.usefixtures("everywhere")
def test_the_commands_list_and_search(redis_url: str) -> None:
    *tasks, end = objects(redis_url, "tasks", "-q", "q", "--limit", "2")
    assert [task["task_id"][-2:] for task in tasks] == ["15", "16"]  # 21 and 22
    assert end == {"queue": "q", "state": "waiting", "looked": 2, "cursor": end["cursor"]}
    *tasks, end = objects(redis_url, "tasks", "-q", "q", "--cursor", end["cursor"])
    assert [task["task_id"][-2:] for task in tasks] == ["14", "17", "18"] and not end["cursor"]
    assert run(redis_url, "tasks", "-q", "q", "--cursor", "x", code=2)[1].count("\n") == 1
    out, said = run(redis_url, "tasks", "-q", "q", "--state", "dead", "--limit", "1")
    assert "failed: KeyError: 'a'" in out and "--cursor" in said
    *tasks, end = objects(redis_url, "search", "--error", "KeyError")
    assert [task["state"] for task in tasks] == ["dead"] * 2
    assert end == {"looked": 2, "found": 2, "more": []}
    *tasks, _ = objects(redis_url, "search", message(31)[13:49].decode().upper())
    assert [task["state"] for task in tasks] == ["delayed"]
    out, said = run(redis_url, "search", "--task", "no.*", code=1)
    assert out == "" and "0 found among" in said
    *_, end = objects(redis_url, "search", "--task", "no", "--most", "1", code=1)
    more = [(each["queue"], each["state"], each["looked"]) for each in end["more"]]
    assert ("q", "waiting", 1) in more
    assert "--task" in run(redis_url, "search", code=2)[1]
    assert "NAME=VALUE" in run(redis_url, "search", "--arg", "x", code=2)[1]
