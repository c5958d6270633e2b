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
        # Only failures need this module, and what it imports takes more than a megabyte.
        from .traceback_text import format_traceback

        return cls(describe(error), format_traceback(error))
