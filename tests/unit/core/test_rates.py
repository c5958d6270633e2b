"""Rates: their text, and the numbers by which Redis keeps them."""

from __future__ import annotations

import pytest
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.rates import LONGEST_PERIOD, LOOK, read_rate, shown_rate
from hypothesis import given
from hypothesis import strategies as st

COUNTS, SECONDS = st.integers(1, 1_000_000), st.integers(1, 3_600)


@pytest.mark.parametrize(
    ("rate", "period"),
    [
        ("20/s", 50_000),
        ("100/m", 600_000),
        ("60/h", 60_000_000),
        ("1/d", 86_400_000_000),
        ("10/30s", 3_000_000),
        ("1/365d", LONGEST_PERIOD),
        ("3/s", 333_334),
    ],
)
def test_a_rate_is_the_microseconds_between_two_begins(rate: str, period: int) -> None:
    assert read_rate(rate) == (period, 1)
    assert read_rate(rate, 7) == (period, 7)


@pytest.mark.parametrize(
    ("rate", "numbers"),
    [
        # In each second at most 3 + 22, 6 + 94 and 51 + 949.
        ("25/s", (43_479, 3)),
        ("100/s", (10_527, 6)),
        ("1000/s", (1_053, 51)),
        ("6000/m", (10_009, 6)),
    ],
)
def test_a_fast_rate_has_a_burst_and_a_longer_interval(rate: str, numbers: tuple[int, int]) -> None:
    assert read_rate(rate) == numbers


@pytest.mark.parametrize(("rate", "period"), [("25/s", 40_000), ("5000/s", 200), ("1000000/s", 1)])
def test_a_burst_that_is_given_counts_for_a_fast_rate_too(rate: str, period: int) -> None:
    assert read_rate(rate, 1) == (period, 1)
    assert read_rate(rate, 9) == (period, 9)


@given(COUNTS, SECONDS)
def test_a_rate_is_never_exceeded(count: int, seconds: int) -> None:
    period, burst = read_rate(f"{count}/{seconds}s")
    # `burst` tasks begin at once, and one in each period after that: the next one after `count`
    # begins at least `seconds` after the first.
    assert period * (count - burst + 1) >= seconds * 1_000_000
    # With a given one, up to `burst - 1` more.
    period, burst = read_rate(f"{count}/{seconds}s", 5)
    assert period * count >= seconds * 1_000_000 and burst == 5


@given(COUNTS, SECONDS)
def test_looks_that_are_50_ms_apart_reach_nine_tenths_of_a_rate(count: int, seconds: int) -> None:
    period, burst = read_rate(f"{count}/{seconds}s")
    # None of a look's turns is lost, even if the one before has left most of a turn.
    assert period >= LOOK or (burst - 1) * period >= LOOK
    even = -(-seconds * 1_000_000 // count)
    # Periods of a few microseconds are rounded up.
    assert period * 0.9 - 1 <= even


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


@given(st.integers(1, LONGEST_PERIOD) | st.integers(1, 100_000), st.integers(1, 999_999))
def test_a_rate_is_shown_as_it_is_read(period: int, burst: int) -> None:
    assert read_rate(*shown_rate(period, burst)) == (period, burst)
    assert read_rate(*shown_rate(period, 1)) == (period, 1)


@pytest.mark.parametrize("rate", ["25/s", "100/m", "3/s", "1/365d", "5000/s", "7/h", "1/d", "39/s"])
@pytest.mark.parametrize("burst", [None, 1, 2])
def test_a_short_rate_is_shown_short(rate: str, burst: int | None) -> None:
    numbers = read_rate(rate, burst)
    is_slow = numbers[0] >= LOOK
    assert shown_rate(*numbers) == (rate, 1 if is_slow and burst is None else burst)
