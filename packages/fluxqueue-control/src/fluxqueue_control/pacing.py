"""Keeps the rate of a change of many tasks."""

from __future__ import annotations

import time


def keep_rate(began: float, count: int, rate: float | None) -> None:
    """Sleeps until `count` tasks since `began` are not more than the rate.

    Args:
        began: by `time.monotonic()`.
        rate: tasks per second; None: any.
    """
    if rate is not None:
        time.sleep(max(began + count / rate - time.monotonic(), 0.0))
