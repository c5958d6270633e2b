"""Messages with priorities: the zset `prioritized`, and the one at the head of `pending`
(rule 16)."""

from __future__ import annotations

import random

import pytest
from redis.exceptions import ResponseError
from support.scripts import Outcome, Scripts, field, message

pytestmark = pytest.mark.versions

MEBIBYTE = b'["%s"]' % (b"x" * (1 << 20))


def ranked(number: int, priority: int, **parts: object) -> bytes:
    return message(number, opts=f'{{"p":{priority}}}', **parts)  # type: ignore[arg-type]


def arrive(scripts: Scripts, *of: bytes) -> None:
    """The messages come due, and are promoted, in this order."""
    scripts.redis.zadd(scripts.key("delayed"), {m: n + 1 for n, m in enumerate(of)})
    while scripts.promote()[0]:
        pass


def waiting(scripts: Scripts) -> tuple[list[bytes], list[bytes]]:
    """`pending` and `prioritized`, each in the order in which they are taken."""
    return scripts.list("pending"), scripts.redis.zrange(scripts.key("prioritized"), 0, -1)


def everything(scripts: Scripts) -> list[bytes]:
    return [m for place in waiting(scripts) for m in place]


def test_the_first_is_at_the_head_of_pending_and_the_others_in_the_zset(scripts: Scripts) -> None:
    plain, first, second, third = message(1), ranked(2, 4), ranked(3, 4), ranked(4, 9)
    scripts.enqueue(plain)
    arrive(scripts, first, second, third)
    assert waiting(scripts) == ([first, plain], [third, second])


def test_an_exchange_claims_by_priority_then_by_age_then_plain_ones(scripts: Scripts) -> None:
    priorities = {ranked(n, n % 9 + 1): n % 9 + 1 for n in range(40)}
    of = [*priorities, *(message(n) for n in range(40, 45))]
    came = random.Random(5).sample(of, len(of))
    arrive(scripts, *came)
    scripts.open("c")
    claimed: list[bytes] = []
    for limit in (1, 2, 3, 30, 100):
        claimed += scripts.exchange("c", limit).claimed
        pending, zset = waiting(scripts)
        assert not zset or b'"p":' in pending[0], "the guard"
    plain = [m for m in came if b'"p":' not in m]
    best = sorted(of[:40], key=lambda m: (-priorities[m], of.index(m)))
    assert claimed == best + plain
    assert everything(scripts) == []


def test_a_client_puts_the_best_of_a_batch_at_the_head(scripts: Scripts) -> None:
    of = [ranked(1, 2), ranked(2, 9), ranked(3, 5), ranked(4, 9)]
    scripts.enqueue_ranked(*of)
    assert waiting(scripts) == ([of[1]], [of[3], of[2], of[0]])
    scripts.enqueue_ranked(ranked(5, 3))
    assert waiting(scripts) == ([of[1]], [of[3], of[2], ranked(5, 3), of[0]])


@pytest.mark.parametrize("kind", ["pending", "prioritized"])
def test_a_batch_that_is_refused_is_not_enqueued_in_part(scripts: Scripts, kind: str) -> None:
    scripts.redis.set(scripts.key(kind), "a key of another type")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        scripts.enqueue_ranked(ranked(1, 5), ranked(2, 5))
    assert list(scripts.redis.scan_iter()) == [scripts.key(kind).encode()]


def test_a_claim_of_suspects_leaves_those_with_priorities(scripts: Scripts) -> None:
    of = [ranked(1, 1), ranked(2, 9), ranked(3, 9, deliveries=2)]
    arrive(scripts, *of)
    scripts.open("c")
    assert scripts.exchange("c", 5, source="suspects").claimed == [of[2]]
    assert waiting(scripts) == ([of[0]], [of[1]])


def test_an_exchange_without_free_slots_puts_the_next_one_at_the_head(scripts: Scripts) -> None:
    of = [ranked(n, 5) for n in range(3)]
    arrive(scripts, *of)
    scripts.open("c")
    for n in range(3):
        assert scripts.block("c") == of[n]
        assert scripts.list("pending") == []
        scripts.exchange("c", 0)
        assert scripts.list("pending") == of[n + 1 : n + 2]


def test_promote_mends_what_a_lost_worker_left(scripts: Scripts) -> None:
    first, second = ranked(1, 5), ranked(2, 5)
    arrive(scripts, first, second)
    scripts.open("c")
    scripts.block("c")
    assert waiting(scripts) == ([], [second])
    assert scripts.promote() == [0, -1]
    assert waiting(scripts) == ([second], [])


def test_open_mends_what_its_old_conversation_left_even_if_it_returns_nothing(
    scripts: Scripts,
) -> None:
    first, second = ranked(1, 5), ranked(2, 5)
    arrive(scripts, first, second)
    scripts.open("old")
    scripts.block("old")
    assert scripts.open("new", ["old"], [field(first)]) == [field(first)]
    assert waiting(scripts) == ([second], [])


@pytest.mark.parametrize("way", ["release", "drain", "rescue", "reclaim"])
def test_a_message_that_returns_keeps_its_priority_and_hides_no_other(
    scripts: Scripts, way: str
) -> None:
    plain, low, high = message(1), ranked(2, 3), ranked(3, 8)
    scripts.claim("c", plain, low, high)
    between, later = ranked(4, 5), message(5)
    arrive(scripts, between)
    scripts.enqueue(later)
    if way == "release":
        outcomes = [Outcome(field(m), "release") for m in (high, low, plain)]
        scripts.exchange("c", outcomes=outcomes)
    elif way == "drain":
        scripts.open("", ["c"])
    elif way == "rescue":
        scripts.be_swept()
        scripts.end_lease("c")
        assert len(scripts.bury("c")) == 3
        raised = [message(1, deliveries=1), ranked(2, 3, deliveries=1), ranked(3, 8, deliveries=1)]
        moves = [
            (field(m), "home", r, b"") for m, r in zip((plain, low, high), raised, strict=True)
        ]
        assert scripts.move("c", *moves) == [3, 0]
        plain, low, high = raised
    else:
        scripts.redis.delete(scripts.key("claimed", "c"))
        scripts.redis.rpush(scripts.key("inbox", "c"), high, low, plain)
        scripts.redis.zadd(scripts.key("consumers"), {"c": -1})
        assert scripts.reclaim("c") == 3
    assert b'"p":' in scripts.list("pending")[0], "the guard"
    scripts.open("d")
    claimed = [scripts.exchange("d", 1).claimed[0] for _ in range(5)]
    assert claimed == [high, between, low, plain, later]


def test_a_lone_one_at_the_head_is_not_hidden_by_what_returns(scripts: Scripts) -> None:
    plain, lone = message(1), ranked(2, 1)
    scripts.claim("c", plain)
    arrive(scripts, lone)
    scripts.exchange("c", outcomes=[Outcome(field(plain), "release")])
    assert waiting(scripts) == ([lone, plain], [])


def test_a_retry_keeps_its_priority(scripts: Scripts) -> None:
    failed, waits = ranked(1, 7), ranked(2, 6)
    scripts.claim("c", failed)
    again = ranked(1, 7, retries=1)
    scripts.exchange("c", outcomes=[Outcome(field(failed), "retry", again, "0")])
    arrive(scripts, waits)
    claimed = [scripts.exchange("c", 1).claimed[0] for _ in range(2)]
    assert claimed == [again, waits]


def test_a_message_whose_id_has_no_time_has_the_order_of_its_arrival(scripts: Scripts) -> None:
    def other(number: int, version: int) -> bytes:
        # Version 4, or a version 7 of the year 10889.
        return ranked(number, 5).replace(b"019aa0c2-7b1f-7", b"ffffffff-ffff-%d" % version)

    of = [ranked(1, 5), other(2, 4), other(3, 7), ranked(4, 6), ranked(5, 4)]
    arrive(scripts, *of)
    scripts.open("c")
    claimed = scripts.exchange("c", 9).claimed
    assert claimed == [of[3], of[0], of[1], of[2], of[4]]
    scripts.exchange("c", outcomes=[Outcome(field(of[1]), "release")])
    arrive(scripts, ranked(6, 5), ranked(7, 5))
    assert scripts.exchange("c", 1).claimed == [of[1]], "it returns to the front of its priority"


@pytest.mark.parametrize("opts", ['{"p":0}', '{"p":10}', '{"p":"5"}', '{"xp":5}', '{"p":-1}'])
def test_a_message_with_another_value_has_no_priority(scripts: Scripts, opts: str) -> None:
    odd, plain = message(1, opts=opts), message(2)
    arrive(scripts, plain, odd)
    assert waiting(scripts) == ([plain, odd], [])


def test_a_priority_is_read_among_other_options(scripts: Scripts) -> None:
    first, second = ranked(1, 1), message(2, opts='{"g":"a:5","p":7,"x":9999999999999}')
    arrive(scripts, first, second)
    assert waiting(scripts) == ([first], [second])


def test_the_same_bytes_twice_are_both_kept_until_one_is_parked(scripts: Scripts) -> None:
    first, twice = ranked(1, 5), ranked(2, 5)
    arrive(scripts, first, twice)
    arrive(scripts, twice)
    scripts.open("c")
    reply = scripts.exchange("c", 5)
    assert sorted(reply.claimed) == [first, twice] and len(reply.parked) == 1
    assert everything(scripts) == []


def test_a_claim_stops_at_its_bytes_and_returns_the_others_to_the_zset(scripts: Scripts) -> None:
    of = [ranked(n, 5, args=MEBIBYTE) for n in range(12)]
    arrive(scripts, *of)
    scripts.open("c")
    claimed: list[bytes] = []
    while len(claimed) < 12:
        reply = scripts.exchange("c", 100)
        assert 1 <= len(reply.claimed) <= 5
        claimed += reply.claimed
        pending, zset = waiting(scripts)
        assert len(pending) <= 1 and len(pending) + len(zset) + len(claimed) == 12
    assert claimed == of


def test_a_paused_queue_keeps_its_guard_and_hands_out_nothing(scripts: Scripts) -> None:
    of = [ranked(1, 5), ranked(2, 5)]
    arrive(scripts, *of)
    scripts.open("c")
    scripts.redis.set(scripts.key("paused"), "1")
    reply = scripts.exchange("c", 5)
    assert (reply.claimed, reply.told["paused"]) == ([], 1)
    assert waiting(scripts) == ([of[0]], [of[1]])
    scripts.redis.delete(scripts.key("paused"))
    assert "paused" not in scripts.exchange("c", 5).told


def test_a_queue_without_priorities_asks_for_two_keys_by_one_command(scripts: Scripts) -> None:
    scripts.open("c")
    scripts.enqueue(message(1))
    scripts.redis.config_resetstat()
    scripts.exchange("c", 1, succeeded=[field(message(1))])
    stats = scripts.redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): value["calls"] for name, value in stats.items()}
    once = "eval time zscore zadd lindex hdel hincrby exists llen rpop hmget hset hget"
    assert {name: calls.get(name) for name in once.split()} == dict.fromkeys(once.split(), 1)
    assert not calls.keys() & {"zrange", "zremrangebyrank"}


def test_an_error_of_the_zset_comes_before_anything_is_written(scripts: Scripts) -> None:
    plain, low, high = message(1), ranked(2, 3), ranked(3, 8)
    scripts.claim("c", plain, low, high)
    scripts.redis.set(scripts.key("prioritized"), "a key of another type")
    for _ in range(3):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            scripts.open("d", ["c"])
    assert set(scripts.held("c").values()) == {plain, low, high}
    assert scripts.list("pending") == []
