"""Hides parts of tasks by a function of the operator's own."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, TypeAlias

Part: TypeAlias = Literal["args", "kwargs", "result", "progress", "error", "traceback"]
# Gets the part, the task's name and the value; returns what to show instead.
Redact: TypeAlias = Callable[[Part, str, Any], Any]

HIDDEN = "[hidden: the redaction failed]"


def nothing_hidden(part: Part, task: str, value: Any) -> Any:
    """Returns the value."""
    return value


def import_redaction(path: str) -> Redact:
    """Imports the function with a path such as `myapp.privacy:redact` or `myapp.privacy.redact`.

    Raises:
        ValueError: there is no such function.
    """
    module, separator, name = path.partition(":")
    if not separator:
        module, _, name = path.rpartition(".")
    if not module or not name:
        raise ValueError(f"{path!r} is not a path such as myapp.privacy:redact")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{path!r} can't be imported: {error}") from None
    if not callable(found):
        raise ValueError(f"{path!r} is not a function")
    return guarded(found)


def guarded(redact: Redact) -> Redact:
    """Returns the function so that a failure hides the value, and is never a page."""

    def safely(part: Part, task: str, value: Any) -> Any:
        try:
            return redact(part, task, value)
        except Exception:  # noqa: BLE001 - it is the operator's code
            return HIDDEN

    return safely
