"""Every script with garbage in each of its keys: it reports a clear error or none, loses
nothing, and works again when the garbage is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue_core import key_kinds, script, script_keys, script_names
from fluxqueue_core.periodic import record
from fluxqueue_core.periodic.times import Times
from redis.exceptions import ResponseError
from support.scripts import DAY, SLOT, Outcome, field, message
from support.sent import Sent

PRIORITY = '{"p":5}'
# A limit of one at once, and one with a rate.
DIGEST, RATED = "1" * 32, "2" * 32
LIMITED, WITH_RATE = f'{{"l":"{DIGEST}:1:0:1"}}', f'{{"l":"{RATED}:0:60000000:1"}}'
REASON = b'{"reason":"failed","error":"e"}'


def state(redis: Any) -> Sent:
    """A queue with something in every key: `a` is alive, `late` is late, `t` is a
    tombstone that has left something in its inbox."""
    sent = Sent(redis)
    sent.sweep()
    sent.claim("a", *(message(number) for number in range(1, 5)))
    sent.exchange("a", outcomes=[Outcome(field(message(4)), "dead", REASON, "1")])
    enqueue_limited(sent, 40, WITH_RATE)
    assert sent.exchange("a", 1).claimed == [message(40, opts=WITH_RATE)]
    sent.claim("late", message(5), message(6))
    enqueue_limited(sent, 41, LIMITED)
    assert sent.exchange("late", 1).claimed == [message(41, opts=LIMITED)]
    for number in (42, 43):
        enqueue_limited(sent, number, LIMITED)
        enqueue_limited(sent, number + 2, WITH_RATE)
    sent.call("limit_rules", ["set", "3" * 16, "1:0:1 n"])
    sent.open("t")
    for consumer, number in (("a", 7), ("late", 8), ("t", 9)):
        sent.enqueue(message(number, opts=PRIORITY if number != 8 else ""))
        sent.block(consumer)
    sent.open("", ["none"])
    redis.zadd(sent.key("consumers"), {"t": -1})
    sent.be_swept()
    sent.end_lease("late")
    redis.zadd(sent.key("delayed"), {message(10): 1, message(11): sent.now() + DAY})
    redis.rpush(sent.key("suspects"), message(12, deliveries=2))
    sent.enqueue(message(13), message(14))
    # The next one is at the head of pending.
    redis.rpush(sent.key("pending"), message(15, opts=PRIORITY))
    redis.zadd(sent.key("prioritized"), {message(n, opts=PRIORITY): n for n in (16, 17)})
    schedule(sent)
    redis.set(sent.key("watched"), 1)
    sent.numbers |= {10, 11, 12, 15, 16, 17}
    assert sent.lost() == set()
    return sent


def enqueue_limited(sent: Sent, number: int, opts: str) -> None:
    of = message(number, opts=opts)
    assert sent.enqueue_unique(("+0 limit 1 n", of)) == [None]
    sent.numbers.add(number)


def exchange(sent: Sent) -> None:
    outcomes = [
        Outcome(field(message(1)), "retry", message(1, retries=1), "60000"),
        Outcome(field(message(2)), "later", message(2), "60000"),
        Outcome(field(message(3)), "dead", REASON, "1"),
        Outcome(field(message(40)), "release"),
    ]
    sent.try_exchange("a", 10, outcomes=outcomes, watch=("s:\n1\ns:n\n1\n", "{}"))


def move(sent: Sent) -> None:
    home = (field(message(5)), "home", message(5, deliveries=1), b"")
    dead = (field(message(6)), "dead", message(6, deliveries=3), REASON)
    limited = (field(message(41)), "home", message(41, opts=LIMITED, deliveries=1), b"")
    sent.move("late", home, dead, limited)


def enqueue(sent: Sent) -> None:
    sent.call("enqueue", ["+0", message(20), "+60000", message(21), "1", message(22)])
    sent.numbers |= {20, 21, 22}
    sent.enqueue_ranked(message(23, opts=PRIORITY), message(24, opts=PRIORITY))
    sent.numbers |= {23, 24}


def enqueue_unique(sent: Sent) -> None:
    digests = [character * 32 for character in "ab"]
    locked = [message(25 + n, opts=f'{{"u":"{digest}:60000"}}') for n, digest in enumerate(digests)]
    wishes = [f"+0 skip {digests[0]} 60000 0 a", f"+60000 replace {digests[1]} 60000 0 b"]
    sent.enqueue_unique(
        *zip(wishes, locked, strict=True),
        ("+0", message(27, opts=PRIORITY)),
        ("+0 limit 1 n", message(46, opts=LIMITED)),
        ("+0 limit 1 n", message(47, opts=f'{{"l":"{"4" * 32}:1:1:1"}}')),
    )
    sent.numbers |= {25, 26, 27, 46, 47}


ENTRY = record.Rules("n", Times(every=1_000))
ENTRY_MESSAGE = message(28)


def schedule(sent: Sent) -> None:
    made = record.make(ENTRY, ENTRY_MESSAGE, declared=False)
    sent.call("schedule", ["set", "entry", made, ENTRY_MESSAGE])


def tick(sent: Sent) -> None:
    """Runs the entry by hand, if it is there."""
    digest = record.make(ENTRY, ENTRY_MESSAGE, declared=False)[: record.DIGEST]
    run = message(29)[13:49].decode()
    words = [0, 0, "", "", "", f"h{run}", 1, "entry", digest]
    _, _, differing, _, _ = sent.call("tick", words)
    if not differing:
        sent.numbers.add(29)


def requeue(sent: Sent) -> None:
    """The task that has died in `a`, and one that is delayed."""
    again = message(4)
    dead = (*sent.death(field(again)), again, "")
    sent.requeue(dead, (b"", 0.0, "", message(11), ""))


def delete(sent: Sent) -> None:
    """One task of each place. They may be gone then, even if the call fails at its end."""
    sent.numbers -= {4, 11, 12, 13, 16}
    sent.delete(message(13), "pending", -10)
    sent.delete(message(12, deliveries=2), "suspects", -10)
    sent.delete(message(11), "delayed")
    sent.delete(message(16, opts=PRIORITY), "prioritized")
    sent.delete(field(message(4)), "dead", sent.death(field(message(4)))[1])


def search(sent: Sent) -> None:
    for where in ("pending", "suspects", "prioritized", "delayed", "dead", "claimed:a"):
        sent.search(where, texts=["b", 1, "n"])


def group_dead(sent: Sent) -> None:
    sent.call("group_dead", ["add", -1, 100])
    sent.call("group_dead", ["check", field(message(4)), "gone"])


def operate(sent: Sent) -> None:
    sent.call("operate", ["pause"])
    sent.call("operate", ["resume"])
    sent.call("operate", ["strike", "a", '{"task":"n"}', "b", '{"task":"m"}'])
    sent.call("operate", ["lift", "a", "b"])
    sent.call("operate", ["note", "done=3"])


def transfer(sent: Sent) -> None:
    """One task of each place, and the dead one."""
    waiting = [(message(13), "pending", -10), (message(12, deliveries=2), "suspects", -10)]
    waiting += [(message(11), "delayed", 0), (message(16, opts=PRIORITY), "prioritized", 0)]
    words: list[Any] = [
        word for of, where, within in waiting for word in (of, where, within, "", "")
    ]
    entry, died, digest = sent.death(field(message(4)))
    words += [entry, "dead", died, digest, message(4)]
    keys = [*script_keys("transfer", "q"), "fluxqueue:{other}:delayed"]
    text = script("transfer", sent.flags)
    sent.redis.execute_command("EVAL", text, len(keys), *keys, *words)


# Per script: a call, and the consumer whose keys it gets.
CALLS: dict[str, tuple[Callable[[Sent], Any], str]] = {
    "open": (lambda sent: sent.open("new", ["a"], [field(message(1))]), "a"),
    "exchange": (exchange, "a"),
    "sweep": (lambda sent: sent.sweep(), ""),
    "bury": (lambda sent: sent.bury("late"), "late"),
    "move": (move, "late"),
    "reclaim": (lambda sent: sent.reclaim("t"), "t"),
    "promote": (lambda sent: sent.promote(), ""),
    "mend_limits": (lambda sent: sent.call("mend_limits", [0, DIGEST, RATED]), ""),
    "limit_rules": (
        lambda sent: sent.call("limit_rules", ["declare", DAY, "5" * 16, "2:0:1 n"]),
        "",
    ),
    "trim_dead": (lambda sent: sent.trim_dead(100), ""),
    "cancel": (lambda sent: sent.cancel(message(1)), ""),
    "requeue": (requeue, ""),
    "delete": (delete, ""),
    "group_dead": (group_dead, ""),
    "operate": (operate, ""),
    "transfer": (transfer, ""),
    "find": (lambda sent: sent.find(message(13)), ""),
    "search": (search, ""),
    "enqueue": (enqueue, ""),
    "enqueue_unique": (enqueue_unique, ""),
    "schedule": (schedule, ""),
    "tick": (tick, ""),
}
GARBAGE: dict[str, Callable[[Any, str], Any]] = {
    "string": lambda redis, name: redis.set(name, "garbage"),
    "list": lambda redis, name: redis.rpush(name, "garbage"),
    "set": lambda redis, name: redis.sadd(name, "garbage"),
    "hash": lambda redis, name: redis.hset(name, "garbage", "garbage"),
    "zset": lambda redis, name: redis.zadd(name, {"garbage": 1}),
    "stream": lambda redis, name: redis.xadd(name, {"garbage": 1}),
}
# No script takes the others.
KINDS = [kind for kind in key_kinds() if kind not in ("queues", "django")]


def refusals(call: Callable[[Sent], Any], sent: Sent) -> list[str]:
    """The errors of a few calls, as a worker or a scheduler would make them."""
    errors = []
    for _ in range(4):
        try:
            call(sent)
        except ResponseError as error:
            errors.append(str(error))
    return errors


def test_there_is_a_call_for_each_script() -> None:
    assert sorted(CALLS) == sorted(script_names())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_a_key_of_another_type(redis: Any, name: str, kind: str) -> None:
    call, consumer = CALLS[name]
    if kind in ("claimed", "inbox") and not consumer:
        pytest.skip("the script gets no key of a consumer")
    for type_, put in GARBAGE.items():
        redis.flushdb()
        sent = state(redis)
        of_digest = kind.startswith(("limit:", "dead:group"))
        which = {"stats:slot": SLOT}.get(kind, DIGEST if of_digest else consumer)
        broken = sent.key(kind, which)
        if redis.type(broken).decode() == type_:
            continue
        # The script is not to blame for what the vandal destroyed.
        sent.numbers -= sent.holds(broken)
        redis.delete(broken)
        put(redis, broken)
        errors = refusals(call, sent)
        assert all("WRONGTYPE" in text or "not an integer" in text for text in errors), errors
        assert sent.lost() == set(), f"{name} with {kind} as {type_}"
        redis.delete(broken)
        call(sent)
        assert sent.lost() == set(), f"{name} after {kind} was {type_}"


ODD_FIELDS = ["", "x", "-1", "1e400", "nan", "inf", "9" * 40, "\x00", "1.5"]
ODD_MEMBERS = [b"", b"x", b"\xff\xfe", b'{"v":1,"id":"', b"{" * 200, b"a\r\nb", message(99)[:60]]
ODD_SCORES = [float("inf"), float("-inf"), 0.0, -0.0, 1e300, -1e300, 5e-324]


@pytest.mark.parametrize("name", CALLS)
def test_odd_fields_scores_and_members(redis: Any, name: str) -> None:
    """Of the right type: each is either worked with, or a clear error."""
    call, _ = CALLS[name]
    for odd in ODD_FIELDS:
        for kind, fields in {
            "sweep": ("last", "quiet"),
            "stats": ("succeeded", "dead", "retried", "rescued", "parked_twice"),
        }.items():
            redis.flushdb()
            sent = state(redis)
            redis.hset(sent.key(kind), mapping=dict.fromkeys(fields, odd))
            parked = redis.zcard(sent.key("dead"))
            errors = refusals(call, sent)
            assert all("integer" in text or "overflow" in text for text in errors), errors
            assert sent.lost() == set(), f"{name} with {kind} = {odd!r}"
            # No message is kept repeatedly.
            assert redis.zcard(sent.key("dead")) <= parked + 1, f"{name} with {kind} = {odd!r}"
    for kind in ("consumers", "delayed", "dead", "newer"):
        redis.flushdb()
        sent = state(redis)
        members = dict(zip(ODD_MEMBERS, ODD_SCORES, strict=True))
        redis.zadd(sent.key(kind), members)
        call(sent)
        assert sent.lost() == set(), f"{name} with odd members of {kind}"
    for kind in ("pending", "suspects", "inbox"):
        redis.flushdb()
        sent = state(redis)
        for consumer in ("a", "late", "t") if kind == "inbox" else ("",):
            redis.rpush(sent.key(kind, consumer), *ODD_MEMBERS)
        call(sent)
        assert sent.lost() == set(), f"{name} with odd messages in {kind}"
    redis.flushdb()
    sent = state(redis)
    for consumer in ("a", "late"):
        redis.hset(sent.key("claimed", consumer), mapping={odd: odd for odd in ODD_MEMBERS})
    call(sent)
    assert sent.lost() == set()
