"""A failure as text: the error in one line, and its traceback."""

from __future__ import annotations

from typing import NamedTuple

from .error_text import describe


class FailureText(NamedTuple):
    """The text of a failure.

    Attributes:
        line: the type and text of the error.
        traceback: its traceback.
    """

    line: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> FailureText:
        """Returns the text of this error."""
        return cls(describe(error), traceback_or_reason(error))


def traceback_or_reason(error: BaseException) -> str:
    """Returns the traceback of this error, or why there is none."""
    try:
        # Only failures need this module, and what it imports takes more than a megabyte.
        from .traceback_text import format_traceback
    except (ImportError, OSError) as failure:
        # A process without a free file descriptor can load no module.
        return f"There is no traceback: its module can't be loaded ({describe(failure)}).\n"
    return format_traceback(error)
