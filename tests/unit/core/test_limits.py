"""Rates, and the names of limits and their keys in Redis."""

from __future__ import annotations

import pytest
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.limits import (
    LONGEST_PERIOD,
    LimitRules,
    check_limit_name,
    key_digest,
    key_text,
    limit_digest,
    read_rate,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("rate", "period"),
    [
        ("25/s", 40_000),
        ("100/m", 600_000),
        ("60/h", 60_000_000),
        ("1/d", 86_400_000_000),
        ("10/30s", 3_000_000),
        ("5000/s", 200),
        ("1000000/s", 1),
        ("1/365d", LONGEST_PERIOD),
        ("3/s", 333_334),
    ],
)
def test_a_rate_is_the_microseconds_between_two_begins(rate: str, period: int) -> None:
    assert read_rate(rate) == period


@given(st.integers(1, 1_000_000), st.integers(1, 3_600))
def test_a_rate_is_never_exceeded(count: int, seconds: int) -> None:
    period = read_rate(f"{count}/{seconds}s")
    # From a begin on, at most `count` tasks begin in less than `seconds`.
    assert period * count >= seconds * 1_000_000


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("", "give a number, a slash and s, m, h or d"),
        ("25", "give a number, a slash and s, m, h or d"),
        ("25/w", "give a number, a slash and s, m, h or d"),
        ("25 /s", "give a number, a slash and s, m, h or d"),
        ("2.5/s", "give a number, a slash and s, m, h or d"),
        ("-1/s", "give a number, a slash and s, m, h or d"),
        ("\u0663/s", "give a number, a slash and s, m, h or d"),
        ("0/s", "nothing would ever begin"),
        ("5/0m", "for no time"),
        ("1000001/s", "at most 1000000 in a second"),
        ("1/366d", "at least 1 in 365 days"),
    ],
)
def test_another_rate_is_refused(rate: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_rate(rate)
    assert f"the rate is {rate!r}" in str(caught.value)


@given(st.integers(1, LONGEST_PERIOD))
def test_a_rate_is_shown_as_it_is_read(period: int) -> None:
    rate = LimitRules(period=period).rate
    assert rate is not None and read_rate(rate) == period


@pytest.mark.parametrize("rate", ["25/s", "100/m", "3/s", "1/365d", "5000/s", "7/h", "1/d"])
def test_a_short_rate_is_shown_short(rate: str) -> None:
    assert LimitRules(period=read_rate(rate)).rate == rate


def test_rules_are_text_for_people_and_for_redis() -> None:
    rules = LimitRules(5, 40_000, 3)
    assert str(rules) == "5 at once, 25/s in bursts of 3"
    assert rules.record("stripe") == b"5:40000:3 stripe"
    assert str(LimitRules(0, 40_000, 1)) == "25/s"
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
