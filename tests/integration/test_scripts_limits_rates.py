"""Limits in the scripts: when a rate allows the next task, and which rule applies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue_core.rates import LOOK, read_rate
from support.fake_clock import CLOCK, FakeClock
from support.limited import KEY, NAME, OTHER, SECOND, end, enqueue, left, limited
from support.scripts import DAY, field

pytestmark = pytest.mark.versions


@pytest.fixture
def scripts(redis: Any) -> Iterator[FakeClock]:
    """Scripts whose time the test decides."""
    scripts = FakeClock(redis, None)
    yield scripts
    redis.delete(CLOCK)


def test_a_rate_calls_one_in_each_period(scripts: FakeClock) -> None:
    # Rule 24.
    tasks = [limited(number, "0:1000000:1") for number in range(3)]
    enqueue(scripts, *tasks)
    scripts.open("c")
    handed = []
    for _ in range(25):
        handed += [(scripts.us, of) for of in scripts.exchange("c", 3).claimed]
        scripts.us += 100_000
        scripts.promote()
    begin = handed[0][0]
    assert [(us - begin, of) for us, of in handed] == [
        (number * SECOND, of) for number, of in enumerate(tasks)
    ]


def test_a_burst_may_begin_at_once_and_no_more(scripts: FakeClock) -> None:
    tasks = [limited(number, "0:1000000:3") for number in range(6)]
    enqueue(scripts, *tasks)
    scripts.open("c")
    assert scripts.exchange("c", 6).claimed == tasks[:3]
    scripts.us += SECOND
    scripts.promote()
    assert scripts.exchange("c", 6).claimed == tasks[3:4]


@pytest.mark.parametrize("rate", ["25/s", "39/s", "100/s", "1000/s"])
def test_looks_that_are_50_ms_apart_reach_a_fast_rate_and_never_exceed_it(
    scripts: FakeClock, rate: str
) -> None:
    period, burst = read_rate(rate)
    count = int(rate.removesuffix("/s"))
    enqueue(scripts, *(limited(number, f"0:{period}:{burst}") for number in range(3 * count)))
    scripts.open("c")
    handed: list[int] = []
    for _ in range(40):
        scripts.promote()
        handed += [scripts.us] * len(scripts.exchange("c", 1_000).claimed)
        scripts.us += LOOK
    assert len(handed) >= 0.9 * 2 * count
    for first in range(len(handed) - count):
        assert handed[first + count] - handed[first] >= SECOND


def test_tasks_that_were_called_without_a_worker_do_not_begin_all_at_once(
    scripts: FakeClock,
) -> None:
    tasks = [limited(number, "0:1000000:1") for number in range(5)]
    enqueue(scripts, *tasks)
    for _ in range(10):
        scripts.us += SECOND
        scripts.promote()
    assert scripts.list("pending") == tasks[:1]
    scripts.open("c")
    assert scripts.exchange("c", 5).claimed == tasks[:1]
    assert scripts.list("pending") == []
    scripts.us += SECOND
    scripts.promote()
    assert scripts.list("pending") == tasks[1:2]


@pytest.mark.parametrize("way", ["exchange", "open", "bury"])
def test_a_task_from_a_blmove_pays_for_its_rate(scripts: FakeClock, way: str) -> None:
    one, two = limited(1, "0:1000000:1"), limited(2, "0:1000000:1")
    enqueue(scripts, one, two)
    scripts.open("c")
    assert scripts.block("c") == one
    scripts.us += 10 * SECOND
    # Until it has paid, nothing else is admitted, however long that takes.
    scripts.promote()
    assert scripts.list("pending") == []
    if way == "exchange":
        scripts.exchange("c")
    elif way == "open":
        assert scripts.open("d", ["c"], [field(one)]) == [field(one)]
    else:
        scripts.be_swept()
        scripts.end_lease("c")
        scripts.bury("c")
    assert scripts.list("pending") == []
    scripts.us += SECOND - 1_000
    scripts.promote()
    assert scripts.list("pending") == []
    scripts.us += 1_000
    scripts.promote()
    assert scripts.list("pending") == [two]


def test_periods_are_microseconds(scripts: FakeClock) -> None:
    tasks = [limited(number, "0:200:1") for number in range(3)]
    enqueue(scripts, *tasks)
    scripts.open("c")
    assert scripts.exchange("c", 3).claimed == tasks[:1]
    scripts.us += 199
    assert end(scripts, tasks[0], 3) == []
    scripts.us += 1_000
    scripts.promote()
    assert scripts.list("pending") == tasks[1:2]


def test_promote_tells_when_a_limit_is_due(scripts: FakeClock) -> None:
    enqueue(scripts, *(limited(number, "0:60000000:1") for number in range(2)))
    scripts.open("c")
    scripts.exchange("c", 2)
    assert scripts.promote() == [0, 60_000]
    scripts.us += 20 * SECOND
    assert scripts.promote() == [0, 40_000]


def test_a_rule_goes_before_the_numbers_of_messages(scripts: FakeClock) -> None:
    tasks = [limited(number, "1:0:1") for number in range(6)]
    other = limited(9, "1:0:1", OTHER)
    enqueue(scripts, *tasks, other)
    assert scripts.call("limit_rules", ["declare", DAY, NAME, "2:0:1 a"]) == [b"changed"]
    scripts.promote()
    assert scripts.list("pending") == [tasks[0], other, tasks[1]]
    assert scripts.call("limit_rules", ["set", NAME, "4:0:1 a"]) == [b"changed"]
    assert scripts.call("limit_rules", ["set", NAME, "4:0:1 a"]) == [b"unchanged"]
    assert scripts.call("limit_rules", ["declare", DAY, NAME, "2:0:1 a"]) == [b"unchanged"]
    scripts.promote()
    assert scripts.list("pending") == [tasks[0], other, *tasks[1:4]]
    # The declared one again, which is lower: it waits until enough have ended.
    assert scripts.call("limit_rules", ["clear", NAME]) == [b"cleared"]
    assert scripts.call("limit_rules", ["clear", NAME]) == [b"absent"]
    scripts.promote()
    scripts.open("c")
    scripts.exchange("c", 9)
    assert [end(scripts, of, 9) for of in tasks[:4]] == [[], [], [tasks[4]], [tasks[5]]]


def test_a_faster_rate_does_not_wait_for_the_time_of_the_slower_one(scripts: FakeClock) -> None:
    one, two = limited(1, "0:86400000000:1"), limited(2, "0:86400000000:1")
    enqueue(scripts, one, two)
    scripts.open("c")
    assert scripts.exchange("c", 2).claimed == [one]
    scripts.call("limit_rules", ["set", NAME, "0:1000000:1 a"])
    scripts.promote()
    scripts.us += SECOND
    scripts.promote()
    assert scripts.list("pending") == [two]


def test_the_newest_declaration_wins(scripts: FakeClock) -> None:
    def declare(most: int) -> Any:
        [word] = scripts.call("limit_rules", ["declare", 300_000, NAME, f"{most}:0:1 a"])
        return word

    assert [declare(1), declare(2), declare(1), declare(2)] == [
        *(b"changed", b"changed", b"older", b"unchanged")
    ]
    # No worker declares it any longer.
    scripts.us += 301 * SECOND
    assert declare(1) == b"changed"
    week = 7 * DAY
    assert scripts.call("limit_rules", ["forget", week]) == 0
    scripts.us += (week + 1) * 1_000
    assert scripts.call("limit_rules", ["forget", week]) == 1
    assert scripts.redis.hgetall(scripts.key("limits:rules")) == {}


def test_many_keys_of_a_changed_rule_are_looked_at_in_steps(scripts: FakeClock) -> None:
    keys = [f"{NAME}{number:016x}" for number in range(1_200)]
    tasks = [limited(2 * n, key=key) for n, key in enumerate(keys)]
    tasks += [limited(2 * n + 1, key=key) for n, key in enumerate(keys)]
    for start in range(0, len(tasks), 400):
        enqueue(scripts, *tasks[start : start + 400])
    assert len(scripts.list("pending")) == 1_200
    scripts.call("limit_rules", ["set", NAME, "2:0:1 a"])
    for _ in range(60):
        scripts.promote()
    assert len(scripts.list("pending")) == 2_400
    assert scripts.redis.exists(scripts.key("limits")) == 0


def test_one_script_calls_a_bounded_number(scripts: FakeClock) -> None:
    tasks = [limited(number) for number in range(700)]
    enqueue(scripts, *tasks)
    scripts.call("limit_rules", ["set", NAME, "0:0:1 a"])
    counts = []
    for _ in range(5):
        scripts.promote()
        counts.append(len(scripts.list("pending")))
    assert counts == [251, 501, 700, 700, 700]
    assert left(scripts) == [scripts.key("limit:places", KEY), scripts.key("limits:texts")]
    assert scripts.list("pending") == tasks
