"""The delays of retries as an option lists them: their type and checks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from .errors import ConfigurationError
from .option_checks import check_delay, kind_of

Delays = Sequence[float]

# Every process that declares the task keeps its delays.
MOST_DELAYS = 1_000

# The options that compute the delays instead.
BACKOFF = ("retry_delay", "retry_backoff", "retry_max_delay")


def check_delays(name: str, value: Any) -> None:
    """Checks the delays of the retries, or None."""
    if value is None:
        return
    if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
        raise TypeError(f"{name} must be a list of seconds, not {kind_of(value)}")
    if next(islice(value, MOST_DELAYS, None), None) is not None:
        raise ConfigurationError(
            f"{name} has more than {MOST_DELAYS} delays; give fewer, the last one repeats, or "
            f"compute them: retry=function"
        )
    if not value:
        raise ConfigurationError(f"{name} is empty; give one delay or more, or leave it out")
    for index, delay in enumerate(value):
        check_delay(f"{name}[{index}]", delay)


def check_enough_retries(name: str, delays: Delays | None, max_retries: int) -> None:
    """Checks that every delay is used."""
    if delays is not None and len(delays) > max_retries:
        raise ConfigurationError(
            f"{name} has {len(delays)} delays for max_retries={max_retries}; "
            f"give max_retries={len(delays)}, or fewer delays"
        )
