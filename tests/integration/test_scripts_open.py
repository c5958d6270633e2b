"""open.lua: a worker begins a new conversation and ends its old ones."""

from __future__ import annotations

import pytest
from support.scripts import LEASE, Scripts, field, message, messages

pytestmark = pytest.mark.versions


def test_open_registers_the_new_consumer_with_a_lease(scripts: Scripts) -> None:
    before = scripts.now()
    assert scripts.open("new") == []
    score = scripts.score("new")
    assert score is not None and before + LEASE <= score <= scripts.now() + LEASE


def test_an_id_that_is_known_is_refused_alive_or_ended(scripts: Scripts) -> None:
    scripts.open("alive")
    scripts.open("", olds=["ended"])
    scores = scripts.score("alive"), scripts.score("ended")
    assert scripts.open("alive", olds=["other"]) is None
    assert scripts.open("ended") is None
    assert (scripts.score("alive"), scripts.score("ended")) == scores
    assert scripts.score("other") is None, "a refused open did something"


def test_kept_messages_move_and_the_others_return_in_order(scripts: Scripts) -> None:
    # Rule 3.
    held = messages(range(1, 7))
    scripts.claim("old", *held[:4])
    scripts.enqueue(*held[4:])
    waiting = message(9)
    scripts.enqueue(waiting)
    assert scripts.block("old") == held[4] and scripts.block("old") == held[5]

    kept = scripts.open("new", olds=["old"], keep=[field(held[1]), field(held[5]), b"no such"])

    assert sorted(kept or []) == sorted([field(held[1]), field(held[5])])
    assert scripts.held("new") == {field(m): m for m in (held[1], held[5])}
    assert scripts.list("pending") == [held[0], held[2], held[3], held[4], waiting]
    assert scripts.held("old") == {} and scripts.list("inbox", "old") == []
    assert scripts.is_tombstone("old")


def test_open_raises_no_count_and_suspects_go_to_their_list(scripts: Scripts) -> None:
    suspect, once, retried = (
        message(1, deliveries=2),
        message(2, deliveries=1),
        message(3, retries=2),
    )
    scripts.claim("old", suspect, once, retried)
    scripts.open("new", olds=["old"])
    assert scripts.list("suspects") == [suspect]
    assert scripts.list("pending") == [once, retried]


def test_a_message_held_twice_is_kept_once_and_the_other_returns(scripts: Scripts) -> None:
    claimed, twin = message(1), message(1, args=b'["twin"]')
    scripts.claim("old", claimed)
    scripts.enqueue(twin)
    assert scripts.block("old") == twin
    assert scripts.open("new", olds=["old"], keep=[field(claimed)]) == [field(claimed)]
    assert {*scripts.held("new").values(), *scripts.list("pending")} == {claimed, twin}


def test_garbage_returns_unchanged(scripts: Scripts) -> None:
    scripts.open("old")
    scripts.enqueue(b"garbage")
    scripts.block("old")
    assert scripts.open("new", olds=["old"]) == []
    assert scripts.list("pending") == [b"garbage"]


def test_an_unknown_old_id_becomes_a_tombstone(scripts: Scripts) -> None:
    # Rule 4.
    # Its own open may still be under way: it must find itself refused.
    assert scripts.open("new", olds=["unknown"]) == []
    assert scripts.is_tombstone("unknown")
    assert scripts.open("unknown") is None


def test_the_scheduler_raises_the_messages_of_an_unknown_old_id(scripts: Scripts) -> None:
    # An operator has deleted the set of consumers.
    held = message(1)
    scripts.claim("old", held)
    scripts.redis.delete(scripts.key("consumers"))
    assert scripts.open("new", olds=["old"], keep=[field(held)]) == []
    assert scripts.held("old") == {field(held): held} and scripts.list("pending") == []
    assert scripts.is_tombstone("old")


def test_an_old_id_that_is_a_tombstone_is_left_alone(scripts: Scripts) -> None:
    # A scheduler has buried it and is raising what it held.
    held = message(1)
    scripts.claim("old", held)
    scripts.end_lease("old")
    scripts.be_swept()
    assert scripts.bury("old") == {field(held): held}
    score = scripts.score("old")
    assert scripts.open("new", olds=["old"], keep=[field(held)]) == []
    assert scripts.held("old") == {field(held): held}
    assert scripts.list("pending") == [] and scripts.score("old") == score


def test_a_late_consumer_that_comes_back_first_raises_nothing(scripts: Scripts) -> None:
    held = message(1)
    scripts.claim("old", held)
    scripts.end_lease("old")
    assert scripts.open("new", olds=["old"], keep=[field(held)]) == [field(held)]
    scripts.be_swept()
    assert scripts.bury("old") == {}
    assert scripts.held("new") == {field(held): held}


def test_several_old_ids_end_at_once(scripts: Scripts) -> None:
    first, second = message(1), message(2)
    scripts.claim("a", first)
    scripts.claim("b", second)
    assert scripts.open("new", olds=["a", "b", "c"], keep=[field(second)]) == [field(second)]
    assert scripts.list("pending") == [first]
    assert all(scripts.is_tombstone(old) for old in "abc")


def test_closing_opens_nothing_and_keeps_nothing(scripts: Scripts) -> None:
    held = message(1)
    scripts.claim("old", held)
    assert scripts.open("", olds=["old"], keep=[field(held)]) == []
    assert scripts.list("pending") == [held]
    assert scripts.redis.zcard(scripts.key("consumers")) == 1
    assert not scripts.redis.exists(scripts.key("claimed"))


def who_is(scripts: Scripts) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = scripts.redis.hgetall(scripts.key("workers"))
    return found


def test_the_text_about_a_worker_stays_until_its_id_has_ended(scripts: Scripts) -> None:
    scripts.open("a", who='{"pid":1}')
    scripts.open("other", who='{"pid":2}')
    assert who_is(scripts) == {b"a": b'{"pid":1}', b"other": b'{"pid":2}'}
    scripts.open("b", ["a"], who='{"pid":1}')
    assert who_is(scripts) == {b"b": b'{"pid":1}', b"other": b'{"pid":2}'}
    scripts.open("", ["b"])
    assert who_is(scripts) == {b"other": b'{"pid":2}'}
    scripts.end_lease("other")
    scripts.be_swept()
    scripts.bury("other")
    assert scripts.is_tombstone("other") and who_is(scripts) == {}


def test_a_consumer_that_is_not_late_keeps_its_text(scripts: Scripts) -> None:
    scripts.open("a", who="{}")
    scripts.be_swept()
    assert scripts.bury("a") == {} and who_is(scripts) == {b"a": b"{}"}
    # A known id is not opened twice.
    assert scripts.open("a", who="changed") is None
    assert who_is(scripts) == {b"a": b"{}"}


def test_a_worker_that_says_nothing_leaves_no_key(scripts: Scripts) -> None:
    scripts.open("a")
    assert not scripts.redis.exists(scripts.key("workers"))


def test_a_forgotten_tombstone_leaves_nothing(scripts: Scripts) -> None:
    """A scheduler of the previous version buries and does not know the hash."""
    scripts.open("a", who="{}")
    scripts.redis.zadd(scripts.key("consumers"), {"a": -1})
    assert who_is(scripts) == {b"a": b"{}"}
    assert scripts.reclaim("a", forget=0) == 0
    assert scripts.score("a") is None and who_is(scripts) == {}


def test_workers_of_another_type_stop_neither_worker_nor_rescue(scripts: Scripts) -> None:
    held = message(1)
    scripts.redis.set(scripts.key("workers"), "a string")
    assert scripts.open("a", who="{}") == []
    assert scripts.open("b", ["a"], who="{}") == []
    scripts.claim("b", held)
    scripts.end_lease("b")
    scripts.be_swept()
    assert scripts.bury("b") == {field(held): held}
    assert scripts.redis.get(scripts.key("workers")) == b"a string"
