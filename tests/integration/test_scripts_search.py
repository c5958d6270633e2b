"""The script `search` looks through each place in bounded calls, while tasks come and go."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.scripts import DAY, Outcome, Scripts, field, message, messages

# Redis 6.2 and Valkey execute this script too.
pytestmark = pytest.mark.versions

REASON = b'{"reason":"failed","error":"KeyError: %d"}'
NAMED = ["m", 1, '"name":"wanted"']


def ids(reply: list[Any]) -> list[int]:
    """The numbers of the tasks that a call has returned."""
    return [int(row[2][37:49], 16) for row in reply[4:]]


def pages(scripts: Scripts, where: str, meanwhile: Any = None, **rest: Any) -> list[list[int]]:
    """All calls, until the end."""
    found, after = [], [0, "", ""]
    while after[0] != -1:
        reply = scripts.search(where, after=after, **rest)
        found.append(ids(reply))
        after = reply[1:4]
        if meanwhile is not None and after[0] != -1:
            meanwhile()
    return found


def together(scripts: Scripts, where: str, **rest: Any) -> list[int]:
    return [number for page in pages(scripts, where, **rest) for number in page]


def die(scripts: Scripts, *of: bytes) -> None:
    scripts.claim("dying", *of)
    outcomes = [Outcome(field(raw), "dead", REASON % at, "1") for at, raw in enumerate(of)]
    scripts.exchange("dying", outcomes=outcomes)


@pytest.mark.parametrize("where", ["pending", "suspects", "limit:line:x"])
def test_a_list_comes_in_the_order_of_the_workers(scripts: Scripts, where: str) -> None:
    scripts.redis.lpush(scripts.key("pending")[:-7] + where, *messages(range(300)))
    assert pages(scripts, where) == [[*range(100)], [*range(100, 200)], [*range(200, 300)]]
    assert [len(page) for page in pages(scripts, where, looks=7)] == [7] * 42 + [6]
    scripts.redis.delete(scripts.key("pending")[:-7] + where)


def test_a_sorted_set_comes_in_its_order(scripts: Scripts) -> None:
    soon = {raw: DAY + at // 50 for at, raw in enumerate(messages(range(300)))}
    scripts.redis.zadd(scripts.key("delayed"), soon)
    assert pages(scripts, "delayed", most=120)[0] == [*range(120)]
    assert together(scripts, "delayed", most=120) == [*range(300)]
    scripts.enqueue_ranked(*messages(range(300, 303), opts='{"p":5}'))
    assert pages(scripts, "prioritized") == [[301, 302]]  # the first one is in pending
    row = scripts.search("delayed", most=1)[4]
    assert row == [str(DAY).encode(), len(message(0)), message(0), b"", b""]


def test_the_dead_come_from_the_youngest_on(scripts: Scripts) -> None:
    die(scripts, *messages(range(5)))
    for number in range(5):
        scripts.redis.zadd(scripts.key("dead"), {field(message(number)): 1_000 + number // 2})
    assert pages(scripts, "dead", most=2) == [[4, 3], [2, 1], [0]]
    row = scripts.search("dead", most=1)[4]
    assert row == [b"1002", len(message(4)), message(4), REASON % 4, field(message(4))]


def test_a_consumer_shows_all_that_it_holds(scripts: Scripts) -> None:
    scripts.claim("c", *messages(range(20)))
    scripts.enqueue(message(20))
    scripts.block("c")
    assert pages(scripts, "claimed:c") == [[*range(21)]]
    assert pages(scripts, "claimed:c", most=8) == [[*range(8)], [*range(8, 16)], [*range(16, 21)]]
    assert pages(scripts, "claimed:none") == [[]]


def test_only_matches_are_returned(scripts: Scripts) -> None:
    die(scripts, *messages(range(300, 320)))
    scripts.enqueue(*(message(n, name="wanted" if n % 50 == 7 else "n") for n in range(200)))
    assert together(scripts, "pending", texts=NAMED) == [7, 57, 107, 157]
    two = [*NAMED, "m", 2, "0000000039", "00000000006b"]  # 57 and 107
    assert together(scripts, "pending", texts=two) == [57, 107]
    assert together(scripts, "pending", texts=["r", 1, "failed"]) == []
    assert pages(scripts, "dead", texts=["r", 1, "KeyError: 7"]) == [[307]]
    assert pages(scripts, "dead", texts=["b", 1, "KeyError: 7"]) == [[307]]
    assert pages(scripts, "dead", texts=["r", 1, "KeyError: 7", "m", 1, "wanted"]) == [[]]


def test_a_call_ends_at_its_bounds(scripts: Scripts) -> None:
    large = b'["' + b"x" * 100_000 + b'"]'
    scripts.enqueue(*messages(range(30), args=large))
    looked, *_ = reply = scripts.search("pending", texts=["m", 1, "nothing"])
    assert looked < 20 and ids(reply) == []
    row = scripts.search("pending", most=1)[4]
    assert row[1] > 100_000 and len(row[2]) == 16_384


@pytest.mark.parametrize("where", ["pending", "delayed", "dead"])
def test_a_task_that_stays_is_on_one_page_while_others_come_and_go(
    scripts: Scripts, chance: random.Random, where: str
) -> None:
    """The last task of each page stays as well: only then the next page can't repeat any."""
    for _ in range(10):
        scripts.redis.flushdb()
        fresh = iter(range(1_000, 5_000))
        all_ = messages(range(400))
        if where == "pending":
            scripts.enqueue(*all_)
        elif where == "delayed":
            scores = {raw: 10_000 + at // 30 for at, raw in enumerate(all_)}
            scripts.redis.zadd(scripts.key("delayed"), scores)
        else:
            die(scripts, *all_)

        def change(fresh: Any = fresh) -> None:
            new = messages(next(fresh) for _ in range(chance.randrange(1, 9)))
            if where == "pending":
                scripts.enqueue(*new)
            elif where == "delayed":
                scripts.redis.zadd(scripts.key("delayed"), dict.fromkeys(new, 10_000 + 7))
            else:
                die(scripts, *new)

        found = together(scripts, where, meanwhile=change, most=30)
        stayed = [number for number in found if number < 400]
        assert sorted(stayed) == [*range(400)], where


def test_tasks_that_workers_take_meanwhile_hide_no_others(scripts: Scripts) -> None:
    scripts.enqueue(*messages(range(100)))
    first = scripts.search("pending", most=30)
    assert ids(first) == [*range(30)]
    scripts.redis.rpop(scripts.key("pending"), 15)
    assert ids(scripts.search("pending", after=first[1:4])) == [*range(30, 100)]


def test_a_search_writes_nothing(scripts: Scripts) -> None:
    scripts.claim("c", message(1))
    scripts.enqueue(message(2))
    before = {name: scripts.redis.dump(name) for name in scripts.redis.keys("*")}
    for where in ("pending", "dead", "delayed", "claimed:c"):
        pages(scripts, where)
    assert {name: scripts.redis.dump(name) for name in scripts.redis.keys("*")} == before
