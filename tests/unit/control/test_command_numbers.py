"""The numbers of a command line: what is accepted, and what the error says."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest
from fluxqueue_control.commands.numbers import count, rate, seconds


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1_000", " 1", "x", "", "9" * 20])
def test_a_wrong_count_is_an_error(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a count; give a whole number"):
        count(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x", ""])
@pytest.mark.parametrize(
    ("read", "said"), [(rate, "is not a rate; give tasks per"), (seconds, "is not a time; give s")]
)
def test_a_wrong_rate_or_time_is_an_error(
    read: Callable[[str], float], said: str, text: str
) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        read(text)


def test_numbers_are_read() -> None:
    assert (count("999999999"), rate("0.5"), seconds("3600")) == (999_999_999, 0.5, 3600.0)
