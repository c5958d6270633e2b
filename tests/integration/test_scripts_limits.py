"""Limits in the scripts: who gets a place, and what frees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue_core import parse_message
from support.fake_clock import CLOCK, FakeClock
from support.limited import KEY, OTHER, SECOND, end, enqueue, left, limited, line, places
from support.scripts import DAY, Outcome, field, message

pytestmark = pytest.mark.versions

DEAD = b'{"reason":"failed","error":"no"}'


@pytest.fixture
def scripts(redis: Any) -> Iterator[FakeClock]:
    """Scripts whose time the test decides."""
    scripts = FakeClock(redis, None)
    yield scripts
    redis.delete(CLOCK)


def test_one_at_once_in_the_order_of_their_arrival(scripts: FakeClock) -> None:
    tasks = [limited(number) for number in range(3)]
    enqueue(scripts, *tasks)
    assert scripts.list("pending") == tasks[:1] and line(scripts) == tasks[1:]
    assert places(scripts) == {field(tasks[0]): -scripts.now()}
    scripts.open("c")
    assert scripts.exchange("c", 3).claimed == tasks[:1]
    assert places(scripts) == {field(tasks[0]): scripts.now()}
    # Its end admits the next one, which the same exchange claims.
    assert end(scripts, tasks[0], 3) == tasks[1:2]
    assert end(scripts, tasks[1], 3) == tasks[2:]
    assert end(scripts, tasks[2]) == [] and left(scripts) == []


def test_two_places_and_two_keys(scripts: FakeClock) -> None:
    ones = [limited(number, "2:0:1") for number in range(3)]
    others = [limited(number, "2:0:1", OTHER) for number in range(3, 6)]
    enqueue(scripts, *ones, *others)
    assert scripts.list("pending") == [*ones[:2], *others[:2]]
    assert line(scripts) == ones[2:] and line(scripts, OTHER) == others[2:]


def test_numbers_of_0_keep_no_task_waiting(scripts: FakeClock) -> None:
    tasks = [limited(number, "0:0:1") for number in range(3)]
    enqueue(scripts, *tasks)
    assert scripts.list("pending") == tasks


def test_a_blmove_finds_only_tasks_with_a_place(scripts: FakeClock) -> None:
    # Rule 23.
    one, two = limited(1), limited(2)
    enqueue(scripts, one, two)
    scripts.open("c")
    assert [scripts.block("c"), scripts.block("c")] == [one, None]
    scripts.exchange("c")
    end(scripts, one)
    assert scripts.block("c") == two


def test_a_called_task_goes_behind_those_that_wait(scripts: FakeClock) -> None:
    one, two, plain = limited(1), limited(2), message(3)
    enqueue(scripts, one, two)
    scripts.enqueue(plain)
    scripts.open("c")
    assert scripts.exchange("c", 1).claimed == [one]
    assert end(scripts, one) == [] and scripts.list("pending") == [plain, two]


def test_a_key_with_many_places_does_not_keep_another_waiting(scripts: FakeClock) -> None:
    many = [limited(number, "10:0:1") for number in range(60)]
    ten = [limited(number, "10:0:1", OTHER) for number in range(100, 110)]
    enqueue(scripts, *many)
    scripts.open("c")
    running = scripts.exchange("c", 4).claimed
    enqueue(scripts, *ten)
    ended: list[bytes] = []
    while running:
        of = running.pop(0)
        ended.append(of)
        running += end(scripts, of, 1)
    assert sorted(ended) == sorted([*many, *ten])
    # They wait for what was admitted before them, and take turns from then on.
    assert max(ended.index(of) for of in ten) < 40
    assert left(scripts) == []


def test_a_priority_counts_between_keys_and_not_within_one(scripts: FakeClock) -> None:
    low, high = limited(1, more='"p":1,'), limited(2, more='"p":9,')
    other = limited(3, key=OTHER, more='"p":5,')
    enqueue(scripts, low, high, other)
    scripts.open("c")
    assert scripts.exchange("c", 1).claimed == [other]
    assert scripts.exchange("c", 1).claimed == [low]
    assert end(scripts, low, 1) == [high]


def settle(kind: str, *more: Any) -> Callable[[FakeClock, bytes], Any]:
    return lambda scripts, of: scripts.exchange("c", outcomes=[Outcome(field(of), kind, *more)])


def move(kind: str, reason: bytes = b"") -> Callable[[FakeClock, bytes], Any]:
    raised = limited(1, deliveries=1)
    return lambda scripts, of: scripts.move("c", (field(of), kind, raised, reason))


ENDS: dict[str, Callable[[FakeClock, bytes], Any]] = {
    "done": settle("done"),
    "dead": settle("dead", DEAD, "1"),
    "expired": settle("expired"),
    "cancelled": settle("cancelled"),
    "the third lost worker": move("dead", DEAD),
}
RETURNS: dict[str, Callable[[FakeClock, bytes], Any]] = {
    "retry": settle("retry", limited(1, retries=1), "60000"),
    "later": settle("later", limited(1), "60000"),
}
TO_THE_HEAD: dict[str, Callable[[FakeClock, bytes], Any]] = {
    "release": settle("release"),
    "cut off": settle("release", limited(1, more='"b":1,')),
    "open": lambda scripts, of: scripts.open("d", ["c"]),
    "drain": lambda scripts, of: scripts.open("", ["c"]),
    "rescue": move("home"),
}


@pytest.mark.parametrize("way", [*ENDS, *RETURNS])
def test_each_way_out_frees_the_place_and_calls_the_next_one(scripts: FakeClock, way: str) -> None:
    one, two = limited(1), limited(2)
    enqueue(scripts, one, two)
    scripts.open("c")
    scripts.exchange("c", 2)
    (ENDS | RETURNS)[way](scripts, one)
    assert scripts.list("pending") == [two] and line(scripts) == []
    assert list(places(scripts)) == [field(two)]


@pytest.mark.parametrize("way", TO_THE_HEAD)
def test_a_task_that_returns_goes_before_those_that_wait(scripts: FakeClock, way: str) -> None:
    one, two, plain = limited(1), limited(2), message(3)
    enqueue(scripts, one, two)
    scripts.open("c")
    scripts.exchange("c", 2)
    scripts.enqueue(plain)
    TO_THE_HEAD[way](scripts, one)
    [first, second] = scripts.list("pending")
    assert parse_message(first)["task_id"] == parse_message(one)["task_id"] and second == plain
    assert line(scripts) == [two] and list(places(scripts)) == [field(first)]


def test_the_inbox_of_a_tombstone_gives_its_place_back(scripts: FakeClock) -> None:
    one, two = limited(1), limited(2)
    enqueue(scripts, one, two)
    scripts.open("c")
    scripts.open("d", ["c"])
    assert scripts.block("c") == one
    assert scripts.reclaim("c") == 1
    assert scripts.list("pending") == [one] and list(places(scripts)) == [field(one)]


def test_a_suspect_has_a_limit_too(scripts: FakeClock) -> None:
    one, raised, two = limited(1, deliveries=1), limited(1, deliveries=2), limited(2)
    enqueue(scripts, one, two)
    scripts.open("c")
    scripts.exchange("c", 2)
    scripts.move("c", (field(one), "home", raised, b""))
    assert scripts.list("suspects") == [raised] and scripts.list("pending") == []
    assert scripts.exchange("c", 1, source="suspects").claimed == [raised]
    assert end(scripts, raised, 1) == [two]


def test_a_delayed_task_comes_into_the_line_when_it_is_due(scripts: FakeClock) -> None:
    one, two = limited(1), limited(2)
    enqueue(scripts, one)
    enqueue(scripts, two, due="+1000")
    assert line(scripts) == [] and list(scripts.delayed()) == [two]
    scripts.us += SECOND
    scripts.promote()
    assert line(scripts) == [two] and scripts.delayed() == {}


@pytest.mark.parametrize("how", ["expire", "cancel"])
def test_a_task_that_will_not_begin_costs_no_place_and_no_time(
    scripts: FakeClock, how: str
) -> None:
    numbers = "1:1000000:1"
    one, three = limited(1, numbers), limited(3, numbers)
    x = f'"x":{scripts.now() + 500},' if how == "expire" else ""
    two = limited(2, numbers, more=x)
    enqueue(scripts, one, two, three)
    scripts.open("c")
    assert scripts.exchange("c", 3).claimed == [one]
    if how == "cancel":
        scripts.redis.zadd(scripts.key("cancelled"), {two[13:49]: scripts.now()})
    scripts.us += SECOND
    [condemned, admitted] = end(scripts, one, 3)
    assert admitted == three
    ended = "expired" if how == "expire" else "cancelled"
    assert parse_message(condemned)["condemned"] == ended
    assert list(places(scripts)) == [field(three)]


def test_a_cancel_finds_a_task_in_its_line(scripts: FakeClock) -> None:
    one, two, three = limited(1), limited(2), limited(3)
    enqueue(scripts, one, two, three)
    assert scripts.cancel(two) == "cancelled"
    assert line(scripts) == [three]
    [condemned, admitted] = scripts.list("pending")
    assert parse_message(condemned)["condemned"] == "cancelled" and admitted == one
    # The line is too long to look through.
    assert scripts.cancel(three, most=1) == "requested"
    assert scripts.cancelled() == {two[13:49], three[13:49]}


def test_a_cancel_of_a_called_task_calls_the_next_one(scripts: FakeClock) -> None:
    one, two = limited(1), limited(2)
    enqueue(scripts, one, two)
    assert scripts.cancel(one) == "cancelled"
    [condemned, admitted] = scripts.list("pending")
    assert parse_message(condemned)["condemned"] == "cancelled" and admitted == two
    assert list(places(scripts)) == [field(two)]


def test_the_text_is_there_as_long_as_the_key(scripts: FakeClock) -> None:
    one, two = limited(1), limited(2)
    texts = scripts.key("limits:texts")
    enqueue(scripts, one, text="a größe")
    assert scripts.redis.hgetall(texts) == {KEY.encode(): "a größe".encode()}
    scripts.open("c")
    scripts.exchange("c", 1)
    settle("retry", limited(1, retries=1), "0")(scripts, one)
    assert left(scripts) == []
    scripts.promote()
    assert scripts.redis.hgetall(texts) == {KEY.encode(): b""}
    enqueue(scripts, two, text="a [1]")
    assert scripts.redis.hgetall(texts) == {KEY.encode(): b"a [1]"}


def test_a_lock_and_a_limit(scripts: FakeClock) -> None:
    lock = "b" * 32
    one, two = (limited(number, more=f'"u":"{lock}:60000",') for number in (1, 2))
    wish = f"+0 limit 5 a [1] skip {lock} 60000 0 text"
    assert scripts.enqueue_unique((wish, one), (wish, two)) == [None, one[13:49]]
    assert scripts.list("pending") == [one] and list(places(scripts)) == [field(one)]
    assert scripts.lock(lock)[b"text"] == b"text"


def test_a_place_without_a_message_is_freed_after_a_day(scripts: FakeClock) -> None:
    one, two, three = limited(1, "2:0:1"), limited(2, "2:0:1"), limited(3, "2:0:1")
    enqueue(scripts, one, two, three)
    scripts.open("c")
    assert scripts.exchange("c", 1).claimed == [one]
    scripts.redis.delete(scripts.key("pending"))  # by an operator: `two` is lost
    assert scripts.call("mend_limits", [DAY, KEY]) == 0
    scripts.us += DAY * 1_000
    assert scripts.call("mend_limits", [DAY, KEY]) == 1
    assert set(places(scripts)) == {field(one), field(three)}
    # A worker holds one, and the other one waits in a list: both keep their places.
    scripts.us += DAY * 1_000
    assert scripts.call("mend_limits", [DAY, KEY]) == 0


def test_scripts_ignore_a_malformed_limit(scripts: FakeClock) -> None:
    for number, opts in enumerate(['{"l":"zz"}', '{"l":1}', '{"l":""}', '{"g":"l"}']):
        scripts.redis.zadd(scripts.key("delayed"), {message(number, opts=opts): 1})
    scripts.promote()
    assert len(scripts.list("pending")) == 4 and left(scripts) == []
