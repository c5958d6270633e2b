"""Waiting for a condition, in place of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 30.0


def wait_until(
    condition: Callable[[], T],
    timeout: float = PATIENCE,
    what: str | Callable[[], str] = "the condition",
    interval: float = 0.01,
) -> T:
    """Asks until the answer is true, and returns it.

    Args:
        what: for the message; called only when it is needed.
        interval: seconds between two questions.

    Raises:
        AssertionError: it is not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() >= deadline:
            text = what if isinstance(what, str) else what()
            raise AssertionError(f"{text} did not come true in {timeout:g} s")
        time.sleep(interval)
    return answer


def wait_until_past(moment: float) -> None:
    """Waits until `time.monotonic()` is past that moment: for what can only be
    seen in time, such as that nothing happens during a lease."""
    while (left := moment - time.monotonic()) >= 0:
        time.sleep(max(left, 0.001))
