"""The text of an exception for log lines and the dead set, and the worker's own frames."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from fluxqueue_core.exception_text import class_of, text_of

ERROR_BYTES = 2 * 1024

F = TypeVar("F", bound=Callable[..., Any])

# Their code objects.
_own: set[object] = set()


def own_frame(function: F) -> F:
    """Marks a function that the worker puts between its loop and the task. The
    traceback of a task's error begins below it."""
    _own.add(function.__code__)
    return function


def own_codes() -> set[object]:
    """Returns the code objects of all functions that `own_frame` marks."""
    return _own


def is_own(frame: FrameType) -> bool:
    """Whether it is a frame of an `own_frame`."""
    return frame.f_code in _own


def headline(error: BaseException, most: int) -> str:
    """The exception's type, and up to `most` characters of its text."""
    module, name = class_of(error)
    if module not in ("", "builtins", "__main__"):
        name = f"{module}.{name}"
    text = text_of(error, most)
    return f"{name}: {text}" if text else name


def describe(error: BaseException) -> str:
    """The exception's type and text, at most 2 KiB, safe to encode."""
    return cut(headline(error, ERROR_BYTES))


def describe_member(member: BaseException, group: BaseException) -> str:
    """As `describe`, for the member of a group that decided what happens to the task."""
    return cut(f"{describe(member)} (in {describe(group)})")


def cut(text: str) -> str:
    """Returns at most 2 KiB of a text."""
    return text.encode()[:ERROR_BYTES].decode("utf-8", "ignore")
