"""A task is found in a list, in calls that are bounded, while the list changes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.scripts import Scripts, message

# Redis 6.2 and Valkey execute this script too.
pytestmark = pytest.mark.versions


def find(scripts: Scripts, of: bytes, most: int = 1_000, meanwhile: Any = None) -> Any:
    """All calls of a search; returns the last reply, and how many there were."""
    at = calls = 0
    while True:
        calls += 1
        length, at, *found = scripts.find(of, at=at, most=most)
        if found or at < 0:
            return found, length, calls
        if meanwhile is not None:
            meanwhile()


@pytest.mark.parametrize("where", ["pending", "suspects"])
def test_a_task_is_found_with_its_place(scripts: Scripts, where: str) -> None:
    scripts.redis.lpush(scripts.key(where), *(message(n) for n in range(5)))
    assert scripts.find(message(3), where) == [5, 2, 1, message(3)]
    assert scripts.find(message(9), where) == [5, -1]
    assert scripts.find(message(3), where, at=2) == [5, -1]


def test_an_empty_list_has_no_task(scripts: Scripts) -> None:
    assert scripts.find(message(1)) == [0, -1]


def test_a_call_looks_at_as_many_messages_as_it_may(scripts: Scripts) -> None:
    scripts.enqueue(*(message(n) for n in range(1_000)))
    assert find(scripts, message(0), most=100) == ([999, message(0)], 1_000, 10)
    assert find(scripts, message(2_000), most=300)[::2] == ([], 4)


def test_a_call_ends_at_the_limit_of_bytes(scripts: Scripts) -> None:
    large = b'["' + b"x" * 100_000 + b'"]'
    scripts.enqueue(*(message(n, args=large) for n in range(200)))
    length, following, *found = scripts.find(message(0))
    assert (length, found) == (200, []) and following == 100
    assert scripts.find(message(0), at=following)[2] == 199


def test_a_task_that_stays_is_found_while_others_come_and_go(
    scripts: Scripts, chance: random.Random
) -> None:
    for _ in range(20):
        scripts.redis.flushdb()
        wanted = chance.randrange(300, 1_000)
        scripts.enqueue(*(message(n) for n in range(1_000)))

        def change() -> None:
            scripts.enqueue(*(message(2_000) for _ in range(chance.randrange(1, 30))))
            if chance.random() < 0.5:
                # In 15 calls at most.
                scripts.redis.rpop(scripts.key("pending"), chance.randrange(1, 16))

        found, *_ = find(scripts, message(wanted), most=100, meanwhile=change)
        assert found[1:] == [message(wanted)]


def test_a_task_is_found_at_once_if_ids_are_in_order(scripts: Scripts) -> None:
    assert scripts.find(message(1), at="") == [0, -1]
    scripts.enqueue(*(message(n) for n in range(5_000)))
    for number in (0, 1, 49, 2_500, 4_950, 4_999):
        found = scripts.find(message(number), at="", most=100)
        assert found[2:] == [4_999 - number, message(number)]
    # A few that have returned are not in order, and hide none.
    scripts.redis.rpush(scripts.key("pending"), *(message(n) for n in range(6_000, 6_020)))
    assert scripts.find(message(2_500), at="", most=100)[2:] == [2_499, message(2_500)]
    assert len(scripts.find(message(9_000), at="", most=100)) == 2


def test_an_id_without_a_time_ends_no_search(scripts: Scripts) -> None:
    odd = message(7).replace(b"-7c3e-", b"-4c3e-")
    scripts.enqueue(odd, b"x", b"", message(1))
    assert scripts.find(message(1), at="")[2:] == [0, message(1)]
    assert scripts.find(odd, at="")[2:] == [3, odd]
