"""Reads the numbers of a command line."""

from __future__ import annotations

import argparse
import math


def count(text: str) -> int:
    """Reads a number of tasks or lines, 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count; give a whole number, 1 or more")
    return number


def rate(text: str) -> float:
    """Reads a number of tasks per second."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a rate; give tasks per second, such as 100"
        )
    return number
