"""The locks of unique tasks in the scripts: who gets one, and what frees it."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_core import parse_message
from redis.exceptions import ResponseError
from support.scripts import DAY, Outcome, Scripts, field, message

pytestmark = pytest.mark.versions

DIGEST, OTHER = "0" * 31 + "a", "0" * 31 + "b"
DEAD = b'{"reason":"failed","error":"no"}'


def unique(
    number: int, flags: str = "", more: str = "", digest: str = DIGEST, **parts: Any
) -> bytes:
    return message(number, opts=f'{{{more}"u":"{digest}:{DAY}{flags}"}}', **parts)


def id_of(of: bytes) -> bytes:
    return of[13:49]


def wish(
    how: str = "skip", due: str = "+0", digest: str = DIGEST, ttl: int = DAY, most: int = 0
) -> str:
    return f"{due} {how} {digest} {ttl} {most} send [1, 2]"


def take(scripts: Scripts, *of: bytes, **wanted: Any) -> list[bytes | None]:
    return scripts.enqueue_unique(*((wish(**wanted), m) for m in of))


def ms_left(scripts: Scripts, digest: str = DIGEST) -> int:
    left: int = scripts.redis.pttl(scripts.key("unique", digest))
    return left


def hold(scripts: Scripts, of: bytes) -> None:
    """Enqueues a unique task and lets `c` claim it."""
    assert take(scripts, of) == [None]
    scripts.claim("c")
    assert scripts.exchange("c", 1).claimed == [of]


def test_the_second_call_finds_the_first_task(scripts: Scripts) -> None:
    one, two, other = unique(1), unique(2), unique(3, digest=OTHER)
    assert take(scripts, one) == [None]
    assert take(scripts, two) == [id_of(one)]
    assert take(scripts, other, digest=OTHER) == [None]
    assert scripts.list("pending") == [one, other]
    assert scripts.lock(DIGEST) == {b"id": id_of(one), b"text": b"send [1, 2]"}
    assert DAY - 60_000 < ms_left(scripts) <= DAY


def test_each_call_of_a_command_has_its_verdict(scripts: Scripts) -> None:
    one, two, three, plain = unique(1), unique(2), unique(3, digest=OTHER), message(4)
    calls = [
        (wish(), one),
        (wish(), two),
        (wish(digest=OTHER), three),
        ("+0", plain),
        (wish(), one),
    ]
    assert scripts.enqueue_unique(*calls) == [None, id_of(one), None, None, id_of(one)]
    assert scripts.list("pending") == [one, three, plain]


def test_a_lock_lives_longer_than_the_delay(scripts: Scripts) -> None:
    one = unique(1)
    assert take(scripts, one, due=f"+{9 * DAY}") == [None]
    assert list(scripts.delayed()) == [one]
    assert 10 * DAY - 60_000 < ms_left(scripts) <= 10 * DAY


ENDS = {
    "done": Outcome(b"", "done"),
    "failed": Outcome(b"", "dead", DEAD),
    "dead and kept": Outcome(b"", "dead", DEAD, "1"),
    "expired": Outcome(b"", "expired"),
    "cancelled": Outcome(b"", "cancelled"),
}


@pytest.mark.parametrize("flags", ["", "i"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("save_dead", [True, False])
def test_each_end_frees_the_lock(scripts: Scripts, end: str, flags: str, save_dead: bool) -> None:
    of = unique(1, flags)
    hold(scripts, of)
    outcome = ENDS[end]._replace(field=field(of))
    scripts.exchange("c", outcomes=[outcome], save_dead=save_dead)
    assert scripts.lock(DIGEST) == scripts.lock(id_of(of).decode()) == {}
    assert take(scripts, unique(2)) == [None]


def test_the_third_lost_worker_frees_the_lock(scripts: Scripts) -> None:
    of = unique(1)
    hold(scripts, of)
    scripts.move("c", (field(of), "dead", of, b'{"reason":"worker_lost","error":"3"}'))
    assert scripts.lock(DIGEST) == {}


@pytest.mark.parametrize("how", ["cancel", "expire"])
def test_a_task_that_will_not_begin_frees_the_lock_at_once(scripts: Scripts, how: str) -> None:
    of = unique(1, more='"x":1,')
    assert take(scripts, of, due=f"+{DAY}") == [None]
    if how == "cancel":
        assert scripts.cancel(of) == "cancelled"
    else:
        scripts.redis.zadd(scripts.key("delayed"), {of: 1})
        scripts.promote()
    [condemned] = scripts.list("pending")
    assert parse_message(condemned)["condemned"] == ("cancelled" if how == "cancel" else "expired")
    assert scripts.lock(DIGEST) == {}
    # Its end leaves the lock of the next task alone.
    assert take(scripts, unique(2)) == [None]
    scripts.claim("c")
    assert condemned in scripts.exchange("c", 2).claimed
    scripts.exchange("c", outcomes=[Outcome(field(condemned), "cancelled")])
    assert scripts.lock(DIGEST)[b"id"] == id_of(unique(2))


@pytest.mark.parametrize("how", ["cancel", "expire", "retry"])
def test_the_id_of_a_task_that_will_not_begin_is_free_once_it_has_ended(
    scripts: Scripts, how: str
) -> None:
    """Both have one field: the second would be parked as a duplicate, and then have no lock."""
    of = unique(1, "i", more='"x":1,')
    again, other = unique(1, "i", digest=OTHER), unique(2, "i")
    if how == "retry":
        hold(scripts, of)
        assert scripts.cancel(of) == "requested"
        scripts.exchange("c", outcomes=[Outcome(field(of), "retry", of, "0")])
    else:
        assert take(scripts, of, due=f"+{DAY}") == [None]
        scripts.redis.zadd(scripts.key("delayed"), {of: 1})
        _ = scripts.cancel(of) if how == "cancel" else scripts.promote()
    [condemned] = scripts.list("pending")
    # Another call for the same is enqueued, and one with the same id is not.
    assert take(scripts, again, digest=OTHER) == [id_of(of)]
    assert take(scripts, again, other) == [id_of(of), None]
    if how != "retry":
        scripts.claim("c")
    assert scripts.exchange("c", 2).claimed == [condemned, other]
    assert take(scripts, again, digest=OTHER) == [id_of(of)]
    scripts.exchange("c", outcomes=[Outcome(field(condemned), "cancelled")])
    assert scripts.lock(DIGEST)[b"id"] == id_of(other)
    assert take(scripts, again, digest=OTHER) == [None]
    assert scripts.exchange("c", 1).claimed == [again] and scripts.dead() == {}


@pytest.mark.parametrize("kind", ["retry", "later", "release"])
def test_a_task_that_runs_again_keeps_its_lock(scripts: Scripts, kind: str) -> None:
    of, again = unique(1), unique(1, retries=1)
    hold(scripts, of)
    scripts.redis.pexpire(scripts.key("unique", DIGEST), 60_000)
    delay = 0 if kind == "release" else 5 * DAY
    scripts.exchange("c", outcomes=[Outcome(field(of), kind, again, str(delay))])
    assert scripts.lock(DIGEST)[b"id"] == id_of(of)
    assert delay + DAY - 60_000 < ms_left(scripts) <= delay + DAY
    assert take(scripts, unique(2)) == [id_of(of)]


def test_a_rescued_task_keeps_its_lock(scripts: Scripts) -> None:
    of, raised = unique(1), unique(1, deliveries=1)
    hold(scripts, of)
    scripts.redis.pexpire(scripts.key("unique", DIGEST), 60_000)
    scripts.move("c", (field(of), "home", raised, b""))
    assert scripts.lock(DIGEST)[b"id"] == id_of(of) and ms_left(scripts) > 60_000


@pytest.mark.parametrize("kind", ["retry", "rescue"])
@pytest.mark.parametrize("taken", [True, False])
def test_a_lock_whose_time_ran_out_is_taken_again_unless_another_task_has_it(
    scripts: Scripts, kind: str, taken: bool
) -> None:
    of, again = unique(1), unique(1, retries=1)
    hold(scripts, of)
    scripts.redis.delete(scripts.key("unique", DIGEST))
    if taken:
        assert take(scripts, unique(2)) == [None]
        scripts.redis.pexpire(scripts.key("unique", DIGEST), 60_000)
    if kind == "retry":
        scripts.exchange("c", outcomes=[Outcome(field(of), "retry", again, "0")])
    else:
        scripts.move("c", (field(of), "home", again, b""))
    holder = id_of(unique(2)) if taken else id_of(of)
    assert scripts.lock(DIGEST)[b"id"] == holder
    assert 0 < ms_left(scripts) <= (60_000 if taken else DAY)
    # An end does not free what another task has.
    scripts.promote()
    scripts.exchange("c", 2)
    scripts.exchange("c", outcomes=[Outcome(field(again), "done")])
    assert scripts.lock(DIGEST).get(b"id") == (holder if taken else None)


@pytest.mark.parametrize("way", ["claim", "inbox", "one by one"])
def test_a_lock_until_the_start_is_free_when_the_task_is_handed_out(
    scripts: Scripts, way: str
) -> None:
    of = unique(1, "s")
    assert take(scripts, of) == [None]
    assert take(scripts, unique(2, "s")) == [id_of(of)]
    scripts.open("c")
    if way == "inbox":
        assert scripts.block("c") == of
        assert scripts.lock(DIGEST) != {}
    if way == "one by one":
        scripts.redis.lpush(scripts.key("pending"), b"garbage")
    claimed = scripts.exchange("c", 2).claimed
    assert claimed == ([] if way == "inbox" else [of])
    assert scripts.lock(DIGEST) == {}
    assert take(scripts, unique(2, "s")) == [None]
    scripts.exchange("c", outcomes=[Outcome(field(of), "retry", of, "0")])
    assert scripts.lock(DIGEST)[b"id"] == id_of(unique(2, "s"))


def test_a_lock_until_the_end_stays_when_the_task_is_handed_out(scripts: Scripts) -> None:
    of = unique(1)
    hold(scripts, of)
    assert take(scripts, unique(2)) == [id_of(of)]


def test_a_chosen_id_is_a_second_lock_until_the_end(scripts: Scripts) -> None:
    one, same = unique(1, "si"), unique(1, "si", digest=OTHER)
    assert take(scripts, one) == [None]
    scripts.claim("c")
    assert scripts.exchange("c", 1).claimed == [one]
    assert take(scripts, same, digest=OTHER) == [id_of(one)]
    scripts.redis.pexpire(scripts.key("unique", id_of(one).decode()), 60_000)
    scripts.exchange("c", outcomes=[Outcome(field(one), "retry", one, "0")])
    assert ms_left(scripts, id_of(one).decode()) > 60_000 and scripts.lock(DIGEST) == {}
    scripts.promote()
    assert scripts.exchange("c", 1).claimed == [one]
    scripts.exchange("c", outcomes=[Outcome(field(one), "done")])
    assert take(scripts, same, digest=OTHER) == [None]


def test_a_throttled_call_is_kept_out_by_time_alone(scripts: Scripts) -> None:
    first = message(1)
    assert take(scripts, first, how="throttle", ttl=60_000) == [None]
    assert take(scripts, message(2), how="throttle", ttl=60_000) == [id_of(first)]
    scripts.claim("c")
    scripts.exchange("c", 1)
    scripts.exchange("c", succeeded=[field(first)])
    assert take(scripts, message(2), how="throttle", ttl=60_000) == [id_of(first)]
    assert 0 < ms_left(scripts) <= 60_000


def test_a_delayed_task_is_replaced(scripts: Scripts) -> None:
    one, two = unique(1), unique(2)
    assert take(scripts, one, how="replace", due="+60000") == [None]
    assert take(scripts, two, how="replace", due="+90000") == [None]
    [(left, due)] = scripts.delayed().items()
    assert left == two and abs(due - scripts.now() - 90_000) < 30_000
    assert scripts.lock(DIGEST) == {b"id": id_of(two), b"text": b"send [1, 2]", b"message": two}
    assert scripts.stats() == {"cancelled": 1}


@pytest.mark.parametrize("moved", ["waits", "runs", "was not to be replaced"])
def test_a_task_that_is_no_longer_delayed_is_not_replaced(scripts: Scripts, moved: str) -> None:
    one = unique(1)
    skip = moved == "was not to be replaced"
    assert take(scripts, one, how="skip" if skip else "replace", due="+60000") == [None]
    if not skip:
        scripts.redis.zadd(scripts.key("delayed"), {one: 1})
        scripts.promote()
    if moved == "runs":
        scripts.claim("c")
        assert scripts.exchange("c", 1).claimed == [one]
    assert take(scripts, unique(2), how="replace", due="+60000") == [id_of(one)]


def test_a_worker_ends_a_replaced_task_if_a_caller_awaits_its_end(scripts: Scripts) -> None:
    one, two = unique(1, more='"r":60000,'), unique(2, more='"r":60000,')
    assert take(scripts, one, how="replace", due="+60000") == [None]
    assert take(scripts, two, how="replace", due="+60000") == [None]
    assert list(scripts.delayed()) == [two]
    [condemned] = scripts.list("pending")
    assert (condemned[13:49], parse_message(condemned)["condemned"]) == (id_of(one), "cancelled")
    assert scripts.stats() == {}
    scripts.claim("c")
    scripts.exchange("c", 1)
    scripts.exchange("c", outcomes=[Outcome(field(condemned), "cancelled")])
    assert scripts.lock(DIGEST)[b"id"] == id_of(two)


@pytest.mark.parametrize("in_one_command", [True, False])
def test_a_replaced_task_with_a_chosen_id_leaves_no_lock_of_its_id(
    scripts: Scripts, in_one_command: bool
) -> None:
    one, two, again = unique(1, "i"), unique(2, "i"), unique(1, "i", digest=OTHER)
    if in_one_command:
        assert take(scripts, one, two, how="replace", due="+60000") == [None, None]
    else:
        assert take(scripts, one, how="replace", due="+60000") == [None]
        assert take(scripts, two, how="replace", due="+60000") == [None]
    assert (list(scripts.delayed()), scripts.stats()) == ([two], {"cancelled": 1})
    assert scripts.lock(id_of(one).decode()) == {}
    assert scripts.lock(id_of(two).decode())[b"id"] == id_of(two)
    assert take(scripts, again, digest=OTHER) == [None]
    assert scripts.lock(id_of(one).decode())[b"id"] == id_of(one)


def test_debounced_calls_are_put_off_until_they_have_waited_long_enough(scripts: Scripts) -> None:
    of = [unique(n) for n in range(4)]
    start = scripts.now()
    for m in of[:3]:
        assert take(scripts, m, how="debounce", due="+60000", most=100_000) == [None]
    [(left, due)] = scripts.delayed().items()
    assert left == of[2] and due - start < 100_000
    # As if the first call had come 90 s ago.
    scripts.redis.hset(scripts.key("unique", DIGEST), "since", scripts.now() - 90_000)
    assert take(scripts, of[3], how="debounce", due="+60000", most=100_000) == [None]
    [(left, due)] = scripts.delayed().items()
    assert left == of[3] and due - scripts.now() <= 10_000
    assert scripts.stats() == {"cancelled": 3}


def test_a_debounced_call_that_has_waited_for_too_long_runs_at_once(scripts: Scripts) -> None:
    one, two, three = unique(1), unique(2), unique(3)
    assert take(scripts, one, how="debounce", due="+60000", most=100_000) == [None]
    scripts.redis.hset(scripts.key("unique", DIGEST), "since", scripts.now() - 200_000)
    assert take(scripts, two, how="debounce", due="+60000", most=100_000) == [None]
    assert (scripts.list("pending"), scripts.delayed()) == ([two], {})
    # The next call begins again.
    assert take(scripts, three, how="debounce", due="+60000", most=100_000) == [None]
    assert list(scripts.delayed()) == [three]


@pytest.mark.parametrize("runs", [True, False])
def test_the_newest_arguments_are_not_lost_when_the_task_is_due(
    scripts: Scripts, runs: bool
) -> None:
    one, two = unique(1), unique(2)
    assert take(scripts, one, how="debounce", due="+60000", most=100_000) == [None]
    scripts.redis.zadd(scripts.key("delayed"), {one: 1})
    scripts.promote()
    if runs:
        scripts.claim("c")
        assert scripts.exchange("c", 1).claimed == [one]
    assert take(scripts, two, how="debounce", due="+60000", most=100_000) == [None]
    assert list(scripts.delayed()) == [two]
    if runs:
        scripts.exchange("c", outcomes=[Outcome(field(one), "done")])
        assert scripts.lock(DIGEST)[b"id"] == id_of(two)


def test_calls_of_one_command_replace_each_other(scripts: Scripts) -> None:
    of = [unique(n) for n in range(3)]
    assert take(scripts, *of, how="debounce", due="+60000", most=100_000) == [None] * 3
    assert list(scripts.delayed()) == [of[2]]
    assert scripts.stats() == {"cancelled": 2}
    kept = [unique(n, more='"r":60000,', digest=OTHER) for n in range(3, 5)]
    take(scripts, *kept, how="replace", due="+60000", digest=OTHER)
    [condemned] = scripts.list("pending")
    assert condemned[13:49] == id_of(kept[0])


def test_a_unique_task_with_a_priority_and_an_expiry_waits_in_its_place(scripts: Scripts) -> None:
    of = unique(1, more='"p":5,"x":"+00000060000",')
    assert take(scripts, of) == [None]
    [stored] = scripts.list("pending")
    parts = parse_message(stored)
    assert parts["priority"] == 5 and abs(parts["expires"] - scripts.now() - 60_000) < 30_000


@pytest.mark.parametrize("kind", ["pending", "delayed", "unique"])
def test_a_key_of_another_type_leaves_no_lock_and_no_task(scripts: Scripts, kind: str) -> None:
    if kind == "unique":
        scripts.redis.set(scripts.key("unique", DIGEST), "x")
    else:
        scripts.redis.set(scripts.key(kind), "x")
    due = "+60000" if kind == "delayed" else "+0"
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        take(scripts, unique(1), due=due)
    left = {key.decode() for key in scripts.redis.keys("*")}
    assert left == {scripts.key("unique", DIGEST) if kind == "unique" else scripts.key(kind)}


def test_a_lock_of_another_type_stops_no_end(scripts: Scripts) -> None:
    of = unique(1)
    hold(scripts, of)
    scripts.redis.delete(scripts.key("unique", DIGEST))
    scripts.redis.set(scripts.key("unique", DIGEST), "x")
    scripts.exchange("c", outcomes=[Outcome(field(of), "retry", of, "0")])
    scripts.promote()
    assert scripts.exchange("c", 1).claimed == [of]
    scripts.exchange("c", outcomes=[Outcome(field(of), "done")])
    assert scripts.stats() == {"retried": 1, "succeeded": 1}


def test_a_message_that_names_no_good_lock_is_settled_as_others(scripts: Scripts) -> None:
    for number, opts in enumerate(['{"u":"zz"}', '{"u":1}', '{"u":""}', '{"g":"u"}']):
        of = message(number, opts=opts)
        scripts.claim("c", of)
        scripts.exchange("c", outcomes=[Outcome(field(of), "done")])
    assert scripts.stats() == {"succeeded": 4}


def test_at_maxmemory_a_call_fails_and_leaves_nothing(scripts: Scripts) -> None:
    scripts.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ResponseError, match="maxmemory"):
            take(scripts, unique(1))
    finally:
        scripts.redis.config_set("maxmemory", 0)
    assert scripts.redis.keys("*") == []
