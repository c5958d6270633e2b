"""Flat and growing series are told apart."""

from __future__ import annotations

import os

import pytest
from soak.memory import MIB, Series, rss


def series(*used: float) -> Series:
    return Series("made up", [(float(second), mib * MIB) for second, mib in enumerate(used)])


def test_the_slope_is_that_of_the_line_after_the_warm_up() -> None:
    grows = series(90, 10, 20, 40, 45, 50, 55)
    assert grows.slope(warm_up=3) == pytest.approx(5 * MIB)
    assert grows.growth(warm_up=3) == pytest.approx(15 * MIB)


def test_noise_is_flat() -> None:
    assert series(*[50 + (second % 3) for second in range(60)]).is_flat(warm_up=20)


def test_a_series_that_grows_without_end_is_not_flat() -> None:
    assert not series(*[50 + 0.2 * second for second in range(60)]).is_flat(warm_up=20)


def test_a_large_process_may_grow_by_a_tenth() -> None:
    assert series(100, 100, 104, 109).is_flat(warm_up=0)
    assert not series(100, 110, 120, 130).is_flat(warm_up=0)


def test_too_few_samples_raise_an_error() -> None:
    with pytest.raises(ValueError, match="too few samples"):
        series(1, 2).slope(warm_up=1)


def test_the_memory_of_this_process_is_read() -> None:
    assert 5 * MIB < rss(os.getpid()) < 4096 * MIB
