"""Reads the numbers of a command line."""

from __future__ import annotations

import argparse
import math


def count(text: str) -> int:
    """Reads a number of tasks or lines."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if number < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a count; give a whole number from 1 to 999999999"
        )
    return number


def rate(text: str) -> float:
    """Reads a number of tasks per second."""
    return _positive(text, "a rate; give tasks per second, such as 100")


def seconds(text: str) -> float:
    """Reads a length of time."""
    return _positive(text, "a time; give seconds, such as 3600")


def _positive(text: str, wanted: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return number
