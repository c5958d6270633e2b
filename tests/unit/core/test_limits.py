"""The rules of limits, and the names of limits and their keys in Redis."""

from __future__ import annotations

import pytest
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.limits import (
    LimitRules,
    check_limit_name,
    key_digest,
    key_text,
    limit_digest,
)
from fluxqueue_core.rates import read_rate


def test_rules_are_text_for_people_and_for_redis() -> None:
    rules = LimitRules(5, 40_000, 2)
    assert str(rules) == "5 at once, 25/s in bursts of 2"
    assert rules.record("stripe") == b"5:40000:2 stripe"
    assert str(LimitRules(0, 40_000, 1)) == "25/s"
    # The burst that a fast rate has if none is given.
    fast = LimitRules(0, *read_rate("25/s"))
    assert (str(fast), fast.rate, fast.given_burst, fast.burst) == ("25/s", "25/s", None, 3)
    assert (rules.rate, rules.given_burst) == ("25/s", 2)
    assert (str(LimitRules()), LimitRules().rate) == ("no limit", None)


def test_a_digest_begins_with_that_of_the_limits_name() -> None:
    one, other = key_digest("stripe", b'"acme"'), key_digest("stripe", b"")
    assert one != other and len(one) == 32
    assert {one[:16], other[:16]} == {limit_digest("stripe")}
    assert key_digest("stripf", b'"acme"')[16:] != one[16:]
    # Clients of all releases must agree.
    assert one == "2bed2032ed3d8300b684980d4af83303"


def test_the_text_of_a_key_is_bounded() -> None:
    assert key_text("stripe", "") == "stripe"
    assert key_text("stripe", "acme") == "stripe acme"
    assert key_text("stripe", "x" * 500) == "stripe " + "x" * 200


@pytest.mark.parametrize("name", ["", "a b", "a\n", "\u202e", "x" * 257])
def test_a_name_that_breaks_a_line_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="the name of a limit"):
        check_limit_name(name)
    check_limit_name("x" * 256)
