"""JSON from Redis for people: another program may have written what Python can't read or print."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Levels that a value may have. Python prints a few hundred more before its stack is full.
DEEPEST = 200
_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{\]}]', re.DOTALL)


def read_json(text: str | bytes) -> Any:
    """Returns the value of JSON.

    Raises:
        ValueError: it is not JSON, or it has too many levels or digits for Python.
    """
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    if _depth(raw) > DEEPEST:
        raise ValueError(f"the JSON has more than {DEEPEST} levels")
    return json.loads(text)


def read_arguments(parts: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Returns `args` and `kwargs` of a parsed message (`{}` without any); None if `read_json` can't
    read them."""
    try:
        return read_json(parts["args"]), read_json(parts["kwargs"] or b"{}")
    except ValueError:
        return None


def _depth(raw: bytes) -> int:
    most = raw.count(b"[") + raw.count(b"{")
    if most <= DEEPEST:
        return most
    deepest = now = 0
    for found in _BRACKET.finditer(raw):
        if found[0] in b"[{":
            now += 1
            deepest = max(deepest, now)
        elif found[0] in b"]}":
            now -= 1
    return deepest
