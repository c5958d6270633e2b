"""The check that a call fits a function's signature, at the speed of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_PREFIXES: dict[object, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_DEFAULT = "None"  # only its presence counts: the check ignores the values


def call_check(signature: inspect.Signature, func: Callable[..., Any]) -> Callable[..., None]:
    """Returns a function with these parameters that does nothing.

    A call costs about 50 ns. If its arguments don't fit, CPython itself raises the
    TypeError: `send_email() missing 1 required positional argument`.
    """
    parts: list[str] = []
    previous = None
    for parameter in signature.parameters.values():
        kind = parameter.kind
        if previous is parameter.POSITIONAL_ONLY and kind is not previous:
            parts.append("/")
        if kind is parameter.KEYWORD_ONLY and previous not in (
            parameter.VAR_POSITIONAL,
            parameter.KEYWORD_ONLY,
        ):
            parts.append("*")
        prefix = _PREFIXES.get(kind, "")
        has_default = parameter.default is not parameter.empty
        parts.append(prefix + parameter.name + (f"={_DEFAULT}" if has_default else ""))
        previous = kind
    if previous is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    # This text contains only identifiers from the application's own source.
    check: Callable[..., None] = eval(f"lambda {', '.join(parts)}: None", {})
    check.__name__ = func.__name__
    check.__qualname__ = func.__qualname__
    return check
