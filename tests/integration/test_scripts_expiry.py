"""Messages that have expired, in the scripts."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_core import parse_message
from support.scripts import Outcome, Scripts, field, message

pytestmark = pytest.mark.versions

HOUR = 3_600_000


def due(scripts: Scripts, *of: bytes) -> None:
    scripts.redis.zadd(scripts.key("delayed"), {m: scripts.now() - 1 for m in of})


def expiring(number: int, at: int, more: str = "", **parts: Any) -> bytes:
    return message(number, opts=f'{{"x":{at}{more}}}', **parts)


def test_promote_condemns_what_has_expired_and_nothing_else(scripts: Scripts) -> None:
    now = scripts.now()
    good = [message(1), message(2, opts="{}"), expiring(3, now + HOUR), message(4, opts='{"p":0}')]
    late = [expiring(5, now), expiring(6, 0, ',"r":5,"zz":"a"', retries=2)]
    due(scripts, *good, *late)
    assert scripts.promote()[0] == 6
    assert scripts.delayed() == {}
    pending = scripts.list("pending")
    assert sorted(pending) == sorted([*good, *(m.replace(b'{"x"', b'{"e":1,"x"') for m in late)])
    for m in pending:
        assert parse_message(m)["condemned"] == (None if m in good else "expired")


def test_a_condemned_message_keeps_its_field_its_home_and_its_counters(scripts: Scripts) -> None:
    late = expiring(1, 1, deliveries=2, retries=1)
    due(scripts, late)
    scripts.promote()
    [condemned] = scripts.list("suspects")
    assert field(condemned) == field(late)
    parts = parse_message(condemned)
    assert (parts["deliveries"], parts["retries"], parts["expires"]) == (2, 1, 1)


def test_a_message_that_is_condemned_malformed_or_without_room_moves_as_it_is(
    scripts: Scripts,
) -> None:
    full = '{"x":1,"a":"%s"}'
    odd = [
        message(1, opts='{"e":2,"x":1}'),
        message(2, opts=full % ("x" * (507 - len(full % "")))),
        message(3, opts='{"x":-1}'),
        message(4, opts='{"x":"1"}'),
        message(5, opts="{" + " " * 600 + "}"),
        message(6).replace(b'"v":1', b'"v":2'),
        b"garbage",
    ]
    due(scripts, *odd)
    scripts.promote()
    assert sorted(scripts.list("pending")) == sorted(odd)


def test_a_message_with_room_for_only_the_mark_stays_readable(scripts: Scripts) -> None:
    full = '{"x":1,"a":"%s"}'
    due(scripts, message(2, opts=full % ("x" * (506 - len(full % "")))))
    scripts.promote()
    [condemned] = scripts.list("pending")
    assert parse_message(condemned)["condemned"] == "expired"
    assert len(parse_message(condemned)["opts"]) == 512


@pytest.mark.parametrize("how", ["expired", "cancelled"])
def test_such_an_end_is_counted_once_and_leaves_nothing(scripts: Scripts, how: str) -> None:
    held = [message(1), expiring(2, 1)]
    scripts.claim("c", *held)
    outcomes = [Outcome(field(m), how) for m in held]
    for _ in range(2):  # the second does nothing
        scripts.exchange("c", outcomes=outcomes)
        assert scripts.held("c") == {} and scripts.stats() == {how: 2}
    assert scripts.dead() == {} and scripts.delayed() == {} and scripts.list("pending") == []
