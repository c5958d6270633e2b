"""The lengths of faults, which are times and not conditions."""

from __future__ import annotations

import time


def pause(seconds: float) -> None:
    """Lets so much time pass, during which a fault lasts."""
    time.sleep(seconds)
