"""Waits for a condition, in place of sleeping and hoping.

A deadline is in seconds of a quiet machine: it moves by what the machine was late
(`support.lateness`). So a test has one scale of patience wherever it runs.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .lateness import machine

T = TypeVar("T")
PATIENCE = 30.0
# Seconds between two looks at a deadline.
INTERVAL = 0.2


def wait_until(
    condition: Callable[[], T],
    timeout: float = PATIENCE,
    what: str | Callable[[], str] = "the condition",
    interval: float = 0.01,
) -> T:
    """Calls the condition until its result is true, and returns the result.

    Args:
        timeout: seconds, not counting those that the machine was late.
        what: names the condition in the message; called only for the message.
        interval: seconds between two calls.

    Raises:
        AssertionError: the time is over.
    """
    deadline = Deadline(timeout)
    while not (answer := condition()):
        if deadline.over():
            raise deadline.error(what)
        time.sleep(interval)
    return answer


class Deadline:
    """The end of some seconds that begin now, moved by the machine's lateness."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        machine()  # takes samples from now on
        self._began = time.monotonic()

    def over(self) -> bool:
        taken = time.monotonic() - self._began
        return taken >= self._seconds and taken >= self._seconds + machine().allowance(self._began)

    def error(self, what: str | Callable[[], str]) -> AssertionError:
        """The error of a wait that has reached the deadline."""
        text = what if isinstance(what, str) else what()
        late = machine().allowance(self._began)
        waited = f"{self._seconds:g} s, and {late:.1f} s that the machine was late"
        return AssertionError(f"waited in vain ({waited}) for {text}")


def seconds_since(moment: float) -> float:
    """The seconds since that `time.monotonic()`, without those that the machine was
    late: for a time that the product promises."""
    return time.monotonic() - moment - machine().allowance(moment)


def wait_on(
    changed: threading.Condition,
    condition: Callable[[], object],
    timeout: float = PATIENCE,
    what: str | Callable[[], str] = "the condition",
) -> None:
    """Waits as `wait_until` does, for a thread that notifies `changed`."""
    deadline = Deadline(timeout)
    with changed:
        while not changed.wait_for(condition, INTERVAL):
            if deadline.over():
                raise deadline.error(what)


def exit_code(
    process: subprocess.Popen[Any],
    timeout: float = PATIENCE,
    what: str | Callable[[], str] = "the end of the process",
) -> int:
    """Waits for the end of a process; a negative code is the signal that ended it."""
    wait_until(lambda: process.poll() is not None, timeout, what)
    return int(process.returncode)


def wait_until_past(moment: float) -> None:
    """Waits until `time.monotonic()` is past that moment: for what only time can
    show, such as that nothing happens during a lease."""
    while (left := moment - time.monotonic()) >= 0:
        time.sleep(max(left, 0.001))
