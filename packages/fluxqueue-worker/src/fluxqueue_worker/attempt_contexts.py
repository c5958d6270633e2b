"""The context (`contextvars`) of each attempt at a task: a fresh copy of the worker's.

The next attempt must not find what one attempt has set: a `ContextVar`, the precision of
`decimal`, the values that structlog binds. An attempt does find what the application's modules
have set when they were imported, as each asyncio task and `asyncio.to_thread` do.

Why: docs/decisions/0065-each-attempt-has-its-own-context.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from fluxqueue_core.exception_text import is_a


class AttemptContexts:
    """Makes contexts. Make it in the thread and at the time whose context they copy.

    Attributes:
        new: returns a context for an attempt.
    """

    def __init__(self) -> None:
        base, decimals = _split(copy_context())
        self._items = tuple(base.items())
        self._fresh = decimals is not None
        self.new: Callable[[], Context] = base.copy
        if decimals is not None:
            self.new = lambda: _with_decimal(base.copy(), decimals)

    def changed(self, context: Context) -> bool:
        """Whether the context, which `new` has made, may differ from a new one. Compares by
        identity: `==` would call code of the values."""
        return (
            self._fresh
            or len(context) != len(self._items)
            or any(context.get(variable) is not value for variable, value in self._items)
        )


def _split(context: Context) -> tuple[Context, Any]:
    """Splits off decimal's context, which is one object that every copy would share.

    Each sum sets its flags, so attempts that ran at the same time would change it together.
    Returns None for it if it is decimal's default, which each attempt makes for itself.
    """
    if (decimal := sys.modules.get("decimal")) is None:
        return context, None
    base, found = Context(), None
    for variable, value in context.items():
        if is_a(value, decimal.Context):
            found = value.copy()
            found.clear_flags()
        else:
            base.run(variable.set, value)
    default = decimal.DefaultContext.copy()
    default.clear_flags()
    # Their texts have all of their settings.
    return base, None if repr(found) == repr(default) else found


def _with_decimal(context: Context, decimals: Any) -> Context:
    import decimal

    context.run(decimal.setcontext, decimals.copy())
    return context
