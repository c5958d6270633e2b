"""The counts of an exchange while a reader watches a queue; otherwise they cost nothing."""

from __future__ import annotations

from typing import Any

import pytest
from support.monitored import monitored
from support.scripts import SLOT, Outcome, Scripts, field, message

pytestmark = pytest.mark.versions

COUNTS = "s:\n2\nr:\n1\ns:mail me\n2\nw17\n3\nxsum\n12\n"
REPORT = '{"memory":1,"running":0,"tasks":[]}'


def numbers(scripts: Scripts, slot: str = SLOT) -> dict[str, int]:
    found = scripts.redis.hgetall(scripts.key("stats:slot", slot))
    return {name.decode(): int(value) for name, value in found.items()}


def watched(scripts: Scripts) -> Scripts:
    scripts.open("c")
    scripts.redis.set(scripts.key("watched"), 1, ex=100)
    return scripts


def test_nothing_is_kept_while_no_reader_watches(scripts: Scripts) -> None:
    scripts.open("c")
    assert "watched" not in scripts.exchange("c", watch=(COUNTS, REPORT)).told
    assert not scripts.redis.exists(*scripts.keys_of_watch("c"))


def test_the_question_adds_no_command(scripts: Scripts) -> None:
    scripts.claim("c", message(1))
    scripts.be_swept()
    with monitored(scripts.redis) as plain:
        scripts.exchange("c")
    with monitored(scripts.redis) as asking:
        scripts.exchange("c", watch=("", ""))
    mark = f" {scripts.key('watched')}"
    assert [text.removesuffix(mark) for text in asking.of_scripts] == plain.of_scripts
    assert asking.of_scripts != plain.of_scripts


def test_counts_are_added_to_the_slot_and_to_the_totals(scripts: Scripts) -> None:
    watched(scripts)
    for _ in range(2):
        assert scripts.exchange("c", watch=(COUNTS, REPORT)).told["watched"] == 1
    expected = {"s:": 4, "r:": 2, "s:mail me": 4, "w17": 6, "xsum": 24, "names": 1}
    assert numbers(scripts) == numbers(scripts, "total") == expected
    assert 0 < scripts.redis.ttl(scripts.key("stats:slot", SLOT)) <= 900
    assert 900 < scripts.redis.ttl(scripts.key("stats:slot", "total")) <= 86_400
    assert scripts.redis.hget(scripts.key("report", "c"), "report") == REPORT.encode()
    assert 0 < scripts.redis.ttl(scripts.key("report", "c")) <= 30


def test_an_exchange_without_counts_leaves_no_key(scripts: Scripts) -> None:
    watched(scripts)
    assert scripts.exchange("c", watch=("", "")).told["watched"] == 1
    assert not scripts.redis.exists(*scripts.keys_of_watch("c")[1:])


def test_outcomes_and_claims_travel_with_the_question(scripts: Scripts) -> None:
    watched(scripts)
    scripts.claim("c", message(1), message(2), message(3))
    scripts.enqueue(message(4))
    reply = scripts.exchange(
        "c",
        1,
        succeeded=[field(message(1))],
        outcomes=[Outcome(field(message(2)), "retry", message(2, retries=1), "1000")],
        watch=(COUNTS, ""),
    )
    assert reply.claimed == [message(4)] and reply.told["watched"] == 1
    assert scripts.stats() == {"succeeded": 1, "retried": 1}
    assert set(scripts.held("c")) == {field(message(3)), field(message(4))}
    assert numbers(scripts)["s:"] == 2


def test_a_lost_lease_counts_nothing(scripts: Scripts) -> None:
    watched(scripts)
    scripts.open("", ["c"])
    assert scripts.try_exchange("c", watch=(COUNTS, REPORT)) is None
    assert not scripts.redis.exists(*scripts.keys_of_watch("c")[1:])


def test_the_names_in_a_hash_are_bounded_and_their_sum_is_not(scripts: Scripts) -> None:
    watched(scripts)
    for batch in range(12):
        names = "".join(f"s:task {batch} {n}\n1\n" for n in range(100))
        scripts.exchange("c", watch=(f"s:\n100\n{names}", ""))
    found = numbers(scripts)
    assert found["s:"] == 1_200
    assert len([name for name in found if name.startswith("s:task")]) == 1_000
    scripts.exchange("c", watch=("s:task 0 0\n1\ns:task 11 99\n1\n", ""))
    assert numbers(scripts)["s:task 0 0"] == 2 and "s:task 11 99" not in numbers(scripts)


@pytest.mark.parametrize("broken", range(4))
def test_a_key_of_another_type_stops_no_exchange(scripts: Scripts, broken: int) -> None:
    watched(scripts)
    scripts.claim("c", message(1))
    name = scripts.keys_of_watch("c")[broken]
    scripts.redis.delete(name)
    scripts.redis.rpush(name, "garbage")
    reply = scripts.exchange("c", succeeded=[field(message(1))], watch=(COUNTS, REPORT))
    assert reply.told["watched"] == 1
    assert scripts.stats() == {"succeeded": 1} and scripts.held("c") == {}


def test_a_buried_consumer_counts_as_a_lost_lease_once(scripts: Scripts) -> None:
    scripts.claim("c", message(1))
    scripts.be_swept()
    scripts.end_lease("c")
    for _ in range(2):
        scripts.bury("c")
    lost: Any = scripts.redis.hget(scripts.key("sweep"), "lost")
    assert int(lost) == 1
