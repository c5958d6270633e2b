"""Numbers that Redis has kept: another program may have written anything in their place."""

from __future__ import annotations

import math
import re
from typing import TypeGuard

# The largest number of a counter of Redis, which has 64 bits.
_MOST = (1 << 63) - 1
_WHOLE = re.compile(r"-?[0-9]{1,19}")


def whole(text: bytes | str | None) -> int | None:
    """Reads a counter; None if the text is not one."""
    if text is None:
        return None
    found = text if isinstance(text, str) else text.decode("ascii", "replace")
    return int(found) if _WHOLE.fullmatch(found) else None


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value from JSON is a number of things: whole, and not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def seconds(ms: object) -> float | None:
    """Returns a moment from JSON in seconds; None if it is not a number of ms."""
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not abs(ms) <= _MOST:
        return None
    return ms / 1_000 if math.isfinite(ms) else None
