"""How far a running task is: what it reports, and what a caller reads.

Why: docs/decisions/0112-progress-is-kept-where-the-result-will-be.md
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from fluxqueue_core import json_codec

# A longer note is cut, so that a report stays small.
NOTE_MAX = 1000

_BEGIN = b'{"progress":'
# More than these do not fit into JSON for every reader.
_MOST = 2**63


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is: its last report by `ctx.progress`.

    Attributes:
        done: how much is done, in units of the task's choice.
        total: how much there is; None: the task does not know. It may be less than `done`.
        note: what the task says about it, at most 1000 characters.
        at: when the task reported, by the worker's clock: an aware datetime in UTC.
    """

    done: float
    total: float | None
    note: str
    at: datetime

    @property
    def fraction(self) -> float | None:
        """The share that is done, from 0 to 1; None if the total is unknown or 0."""
        return min(1.0, self.done / self.total) if self.total else None


def encode(done: float, total: float | None, note: str) -> bytes:
    """Returns a report of progress as JSON.

    Raises:
        TypeError: an argument is of another type.
        ValueError: a number is negative, infinite or NaN.
    """
    _check("done", done)
    if total is not None:
        _check("total", total)
    if not isinstance(note, str):
        raise TypeError(f"note is {type(note).__name__}; give a str")
    # JSON has no lone surrogates.
    text = note[:NOTE_MAX].encode("utf-8", "replace").decode()
    report = {"done": done, "total": total, "note": text, "at": time.time_ns() // 1_000_000}
    return json_codec.dumps({"progress": report})


def _check(name: str, number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise TypeError(f"{name} is {type(number).__name__}; give an int or a float")
    # JSON carries a float of any size.
    above = _MOST if isinstance(number, int) else math.inf
    if not 0 <= number < above:
        from .option_checks import shown_number

        limit = ", below 2**63" if isinstance(number, int) else ""
        raise ValueError(
            f"{name} is {shown_number(number)}; give a finite number, 0 or more{limit}"
        )


def is_report(kept: object) -> bool:
    """Whether what is kept of a task is a report of its progress, and no outcome."""
    return isinstance(kept, bytes) and kept.startswith(_BEGIN)


def decode(report: bytes) -> Progress:
    """Reads a report of progress."""
    read = json_codec.loads(report)["progress"]
    at = datetime.fromtimestamp(read["at"] / 1000, UTC)
    return Progress(read["done"], read["total"], read["note"], at)
