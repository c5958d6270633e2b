"""The text of an exception and of its traceback, for log lines and the dead set."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

TRACEBACK_BYTES = 32 * 1024
TRACEBACK_FRAMES = 100
ERROR_BYTES = 2 * 1024

F = TypeVar("F", bound=Callable[..., Any])

# Their code objects.
_own: set[object] = set()


def own_frame(function: F) -> F:
    """Marks a function that the worker puts between its loop and the task. The
    traceback of a task's error begins below it."""
    _own.add(function.__code__)
    return function


def is_own(frame: FrameType) -> bool:
    """Whether it is a frame of an `own_frame`."""
    return frame.f_code in _own


def describe(error: BaseException) -> str:
    """The exception's type and text, at most 2 KiB, safe to encode."""
    kind = type(error)
    name = kind.__qualname__
    try:
        if kind.__module__ not in ("builtins", "__main__"):
            name = f"{kind.__module__}.{name}"
    except BaseException:  # noqa: BLE001 - a broken metaclass must not hide the error
        pass
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - a broken __str__ must not hide the error
        text = "<its text can't be printed>"
    whole = f"{name}: {text}" if text else name
    encoded = whole[:ERROR_BYTES].encode("utf-8", "backslashreplace")
    return encoded[:ERROR_BYTES].decode("utf-8", "ignore")


def format_traceback(error: BaseException) -> str:
    """The traceback without the worker's own frames at its beginning; at most its
    last 32 KiB."""
    # Only failures need this module, and it takes more than a megabyte.
    import traceback

    first = error.__traceback__
    while first is not None and is_own(first.tb_frame):
        first = first.tb_next
    try:
        lines = traceback.TracebackException(
            type(error), error, first, limit=-TRACEBACK_FRAMES, compact=True
        ).format()
        text = "".join(lines)
    except BaseException as failure:  # noqa: BLE001 - a broken exception class
        text = f"The traceback can't be formatted: {type(failure).__name__}\n"
    encoded = text[-TRACEBACK_BYTES:].encode("utf-8", "backslashreplace")
    return encoded[-TRACEBACK_BYTES:].decode("utf-8", "ignore")
