"""Messages of a newer version: scripts put them off for workers that know them, park them
after the grace, and never change them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from support.scripts import GRACE, Scripts, field, message

VECTORS: list[dict[str, Any]] = json.loads(
    (
        Path(__file__).parents[2] / "packages/fluxqueue-core-rs/tests/vectors/messages.json"
    ).read_text()
)["newer"]
NEWER = [vector["message"].encode() for vector in VECTORS]


def entry_of(of: bytes) -> bytes:
    return b"newer:" + hashlib.sha1(of).hexdigest().encode()


def first_seen(scripts: Scripts) -> dict[bytes, float]:
    return dict(scripts.redis.zrange(scripts.key("newer"), 0, -1, withscores=True))


def was_seen_earlier(scripts: Scripts, ms: int) -> None:
    for digest in first_seen(scripts):
        scripts.redis.zincrby(scripts.key("newer"), -ms, digest)


def make_due(scripts: Scripts) -> None:
    for raw in scripts.delayed():
        scripts.redis.zadd(scripts.key("delayed"), {raw: 1})
    scripts.promote()


@pytest.mark.parametrize("way", ["claimed", "adopted"])
def test_they_are_put_off_and_what_is_beside_them_is_claimed(scripts: Scripts, way: str) -> None:
    good = message(5)
    scripts.open("c")
    scripts.enqueue(*NEWER, good)
    if way == "adopted":
        for _ in NEWER:
            scripts.block("c")
    reply = scripts.exchange("c", 100)
    assert reply.claimed == [good] and reply.parked == [] and reply.told["put_off"] == len(NEWER)
    assert scripts.held("c") == {field(good): good}
    delayed = scripts.delayed()
    assert delayed.keys() == set(NEWER)
    # A sixtieth of the grace, within bounds, as for an unknown task.
    assert set(delayed.values()) == {reply.now + 5_000}
    assert scripts.dead() == {} and scripts.stats() == {}


def test_after_the_grace_they_are_parked(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(*NEWER)
    assert scripts.exchange("c", 100).told["put_off"] == len(NEWER)
    was_seen_earlier(scripts, GRACE)
    make_due(scripts)
    reply = scripts.exchange("c", 100)
    assert (
        sorted(reply.parked) == sorted(entry_of(m) for m in NEWER) and "put_off" not in reply.told
    )
    dead = scripts.dead()
    assert {entry: kept for entry, (kept, _) in dead.items()} == {entry_of(m): m for m in NEWER}
    for _, text in dead.values():
        reason = json.loads(text)
        assert reason["reason"] == "unknown_version" and "300 s" in reason["error"]
    error = json.loads(dead[entry_of(b'{"v":19}')][1])["error"]
    assert error.startswith("its version is 19,") and error.endswith("knows more than 2")
    assert scripts.delayed() == {} and first_seen(scripts) == {}


def test_the_grace_counts_from_the_first_time(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(NEWER[0])
    scripts.exchange("c", 1)
    was_seen_earlier(scripts, GRACE - 1_000)
    before = first_seen(scripts)
    make_due(scripts)
    reply = scripts.exchange("c", 1)
    assert first_seen(scripts) == before
    # The next look is not later than the end of the grace.
    assert reply.now < scripts.delayed()[NEWER[0]] <= reply.now + 1_000


def test_without_a_grace_they_are_parked_at_once(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(NEWER[0])
    assert scripts.exchange("c", 1, grace=0).parked == [entry_of(NEWER[0])]


def test_two_alike_are_two(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(NEWER[0], NEWER[0])
    reply = scripts.exchange("c", 2)
    assert reply.told["put_off"] == 1 and reply.parked == [entry_of(NEWER[0])]
    kept, reason = scripts.dead()[entry_of(NEWER[0])]
    assert kept == NEWER[0] and json.loads(reason)["reason"] == "duplicate"
    assert list(scripts.delayed()) == [NEWER[0]]


def test_the_record_of_a_message_is_forgotten(scripts: Scripts) -> None:
    """A newer worker may have run it, which this key does not record."""
    scripts.open("c")
    scripts.enqueue(NEWER[0])
    scripts.exchange("c", 1)
    ends_in: int = scripts.redis.pttl(scripts.key("newer"))
    assert GRACE < ends_in <= 2 * GRACE + 60_000
    was_seen_earlier(scripts, 2 * GRACE + 60_001)
    scripts.redis.delete(scripts.key("delayed"))
    scripts.enqueue(NEWER[1])
    scripts.exchange("c", 1)
    assert list(first_seen(scripts)) == [hashlib.sha1(NEWER[1]).hexdigest().encode()]


def test_a_rescue_puts_off_what_lies_in_an_inbox(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(NEWER[0])
    scripts.block("c")
    scripts.end_lease("c")
    scripts.be_swept()
    assert scripts.bury("c") == {}
    assert list(scripts.delayed()) == [NEWER[0]] and scripts.list("inbox", "c") == []


@pytest.mark.parametrize("kind", ["newer", "delayed"])
def test_a_key_of_another_type_loses_none(scripts: Scripts, kind: str) -> None:
    scripts.open("c")
    scripts.enqueue(NEWER[0], NEWER[1])
    scripts.redis.set(scripts.key(kind), "garbage")
    with pytest.raises(Exception, match="WRONGTYPE"):
        scripts.exchange("c", 2)
    scripts.redis.delete(scripts.key(kind))
    assert scripts.list("pending") == [NEWER[0], NEWER[1]]
    assert scripts.exchange("c", 2).told["put_off"] == 2
