"""promote.lua and trim_dead.lua."""

from __future__ import annotations

import pytest
from support.scripts import DAY, Scripts, message, messages

pytestmark = pytest.mark.versions


def delay(scripts: Scripts, due: dict[bytes, float]) -> None:
    scripts.redis.zadd(scripts.key("delayed"), due)


def test_due_messages_move_in_order_behind_those_that_wait(scripts: Scripts) -> None:
    due = messages(range(3))
    later = message(8)
    waiting = message(9)
    scripts.enqueue(waiting)
    now = scripts.now()
    delay(scripts, {due[2]: now - 1, due[0]: now - 300, due[1]: now - 20, later: now + 60_000})
    moved, ms = scripts.promote()
    assert moved == 3 and 0 < ms <= 60_000
    assert scripts.list("pending") == [waiting, *due]
    assert list(scripts.delayed()) == [later]


def test_the_limit_is_kept_and_the_rest_is_due_at_once(scripts: Scripts) -> None:
    due = messages(range(5))
    delay(scripts, {m: 10 + n for n, m in enumerate(due)})
    assert scripts.promote(limit=2) == [2, 0]
    assert scripts.list("pending") == due[:2]
    assert scripts.promote(limit=2) == [2, 0]
    assert scripts.promote(limit=2) == [1, -1]
    assert scripts.promote(limit=2) == [0, -1]
    assert scripts.list("pending") == due


def test_a_thousand_at_once(scripts: Scripts) -> None:
    due = messages(range(1_000))
    delay(scripts, dict.fromkeys(due, 1))
    assert scripts.promote() == [1_000, -1]
    assert scripts.list("pending") == due


def test_suspects_among_others_keep_their_order(scripts: Scripts) -> None:
    due = [message(n, deliveries=2 if n % 3 == 0 or n > 150 else n % 2) for n in range(200)]
    later = message(999, deliveries=2)
    delay(scripts, {m: 10 + n for n, m in enumerate(due)})
    delay(scripts, {later: scripts.now() + DAY})
    while scripts.promote(limit=70)[0]:
        pass
    assert scripts.list("suspects") == [m for m in due if b'"deliveries":2' in m]
    assert scripts.list("pending") == [m for m in due if b'"deliveries":2' not in m]
    assert list(scripts.delayed()) == [later]


def test_large_messages_are_moved_by_few_calls_each_of_bounded_bytes(scripts: Scripts) -> None:
    large = [message(n, args=b'["%s"]' % (b"x" * 100_000)) for n in range(10)]
    small = messages(range(10, 310))
    due = [*large, *small]
    delay(scripts, {m: 10 + n for n, m in enumerate(due)})
    assert scripts.promote()[0] == 3, "two are below the bound, the third is beyond it"
    calls = 1
    while (reply := scripts.promote())[0]:
        calls += 1
        assert (reply[1] == 0) == bool(scripts.delayed()), "whether more is due is said"
    assert scripts.list("pending") == due
    assert calls <= 6


def test_one_message_moves_however_large(scripts: Scripts) -> None:
    huge = message(1, args=b'["%s"]' % (b"x" * 1_000_000))
    delay(scripts, {huge: 1, message(2): 2})
    assert scripts.promote() == [1, 0]
    assert scripts.list("pending") == [huge]


def test_suspects_go_to_their_list(scripts: Scripts) -> None:
    delay(scripts, {message(1, deliveries=2): 1, message(2, deliveries=1): 2, message(3): 3})
    scripts.promote()
    assert scripts.list("suspects") == [message(1, deliveries=2)]
    assert scripts.list("pending") == [message(2, deliveries=1), message(3)]


def test_garbage_goes_where_a_worker_will_park_it(scripts: Scripts) -> None:
    delay(scripts, {b"garbage": 1, message(1): 2})
    assert scripts.promote() == [2, -1]
    assert scripts.list("pending") == [b"garbage", message(1)]


def test_a_time_that_never_comes_is_a_day_away(scripts: Scripts) -> None:
    delay(scripts, {message(1): float("inf")})
    assert scripts.promote() == [0, DAY]


@pytest.mark.parametrize("broken", ["pending", "suspects"])
def test_an_error_loses_nothing_and_repeats_nothing(scripts: Scripts, broken: str) -> None:
    due = {message(1): 1, message(2, deliveries=2): 2}
    delay(scripts, dict(due))
    scripts.redis.set(scripts.key(broken), "oops")
    for _ in range(3):
        with pytest.raises(Exception, match="WRONGTYPE"):
            scripts.promote()
    other = "suspects" if broken == "pending" else "pending"
    moved = scripts.list(other)
    assert len(moved) <= 1
    assert {*moved, *scripts.delayed()} == set(due)


def make_dead(scripts: Scripts, entry: str, died: int) -> None:
    scripts.redis.zadd(scripts.key("dead"), {entry: died})
    scripts.redis.hset(scripts.key("dead:messages"), entry, "m")
    scripts.redis.hset(scripts.key("dead:reasons"), entry, "{}")


def test_the_oldest_above_the_count_go(scripts: Scripts) -> None:
    now = scripts.now()
    for n in range(6):
        make_dead(scripts, f"e{n}", now - 100 + n)
    assert scripts.trim_dead(4) == 2
    assert list(scripts.dead()) == [b"e2", b"e3", b"e4", b"e5"]
    assert scripts.trim_dead(4) == 0
    assert scripts.trim_dead(0, limit=3) == 3, "the limit of one call"
    assert scripts.trim_dead(0) == 1 and scripts.dead() == {}


def test_entries_that_are_too_old_are_removed(scripts: Scripts) -> None:
    now = scripts.now()
    for n in range(3):
        make_dead(scripts, f"old{n}", now - DAY - 1_000)
    make_dead(scripts, "young", now - DAY + 60_000)
    assert scripts.trim_dead(100, limit=2) == 2
    assert scripts.trim_dead(100) == 1
    assert list(scripts.dead()) == [b"young"]


def test_age_and_count_together_remove_only_the_oldest(scripts: Scripts) -> None:
    now = scripts.now()
    make_dead(scripts, "old", now - 2 * DAY)
    for n in range(4):
        make_dead(scripts, f"e{n}", now - 100 + n)
    assert scripts.trim_dead(2) == 3
    assert list(scripts.dead()) == [b"e2", b"e3"]
