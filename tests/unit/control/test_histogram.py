"""Times in buckets, and their percentiles."""

from __future__ import annotations

import pytest
from fluxqueue_control.histogram import TimeHistogram, lower_end
from fluxqueue_control.stats import Ends, Numbers, parse
from hypothesis import given
from hypothesis import strategies as st


def bucket_of(micros: int) -> int:
    """By definition: the last bucket that begins at `micros` or before."""
    return max(bucket for bucket in range(161) if lower_end(bucket) <= micros)


def histogram(times: list[int]) -> TimeHistogram:
    buckets: dict[int, int] = {}
    for micros in times:
        bucket = bucket_of(micros)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    return TimeHistogram(buckets, sum(times))


def test_buckets_follow_each_other_and_double_with_every_fourth() -> None:
    ends = [lower_end(bucket) for bucket in range(161)]
    assert ends[:9] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert ends == sorted(set(ends))
    assert all(ends[n + 4] == 2 * ends[n] for n in range(4, 157))


times = st.lists(st.integers(0, 10**9), min_size=1, max_size=50)


@given(times, st.floats(1, 100))
def test_a_percentile_is_too_long_by_a_quarter_at_most(some: list[int], percent: float) -> None:
    found = histogram(some).percentile(percent)
    assert found is not None
    position = max(-(-len(some) * percent // 100), 1)
    exact = sorted(some)[int(position) - 1]
    assert exact < found * 1e6 + 1e-3
    assert found * 1e6 <= max(exact * 1.25, exact + 1) + 1e-3


@given(times, times)
def test_the_sum_of_two_is_that_of_all_times(some: list[int], others: list[int]) -> None:
    both = histogram(some) + histogram(others)
    assert both == histogram(some + others)
    assert both.count == len(some) + len(others)
    assert both.below(1 << 40) == both.count
    assert both.below(1 << 10) == sum(micros < 1 << 10 for micros in some + others)


def test_no_times_have_no_mean_and_no_percentile() -> None:
    assert (TimeHistogram().mean, TimeHistogram().percentile(50), TimeHistogram().count) == (
        None,
        None,
        0,
    )
    with pytest.raises(ValueError, match="the percentile 0 is not above 0"):
        TimeHistogram().percentile(0)


def test_a_hash_of_numbers_is_read_and_what_is_not_known_is_ignored() -> None:
    numbers = parse(
        {
            b"s:": b"3",
            b"d:": b"1",
            b"t:": b"2500000",
            b"s:mail:de": b"2",
            b"r:n": b"4",
            b"w5": b"2",
            b"wsum": b"10",
            b"x160": b"1",
            b"xsum": b"7",
            b"names": b"9",
            b"later": b"1",
            b"w-1": b"1",
            b"x": b"1",
            b"\xff": b"1",
            b"s:odd": b"many",
        }
    )
    assert numbers.ends == Ends(3, 0, 1, 2.5)
    assert numbers.tasks == {"mail:de": Ends(2), "n": Ends(retried=4), "odd": Ends()}
    assert (numbers.wait, numbers.run) == (TimeHistogram({5: 2}, 10), TimeHistogram({160: 1}, 7))
    assert parse([b"s:", b"3"]).ends == Ends(3)


def test_numbers_add_up() -> None:
    one = Numbers(
        Ends(1, 2, 3, 4.0), {"a": Ends(1)}, TimeHistogram({1: 1}, 1), TimeHistogram({2: 1}, 2)
    )
    two = Numbers(Ends(1), {"a": Ends(1), "b": Ends(2)}, TimeHistogram({1: 1}, 1))
    assert one + two == Numbers(
        Ends(2, 2, 3, 4.0),
        {"a": Ends(2), "b": Ends(2)},
        TimeHistogram({1: 2}, 2),
        TimeHistogram({2: 1}, 2),
    )
