"""Finds a value in the arguments of a call, by a path such as `order.id` or `0.id`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# There is no value at the path.
MISSING = object()


def find(
    path: str, args: Sequence[Any], kwargs: Mapping[str, Any], names: Sequence[str] = ()
) -> Any:
    """Returns the value at a path, or `MISSING`.

    Args:
        path: an argument by its name or by its position from 0, then keys of objects and
            positions in arrays, with points between.
        names: the names of the parameters, in order. Without them a positional argument is
            found by its position only.
    """
    first, *rest = path.split(".")
    if first in kwargs:
        found = kwargs[first]
    elif first in names:
        found = _item(args, names.index(first))
    else:
        found = _item(args, _position(first))
    for part in rest:
        if isinstance(found, Mapping):
            found = found.get(part, MISSING)
        else:
            found = _item(found, _position(part)) if isinstance(found, list) else MISSING
    return found


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON: `1` and `true` are not."""
    return one is not MISSING and json.dumps(one, sort_keys=True) == json.dumps(
        other, sort_keys=True
    )


def _position(part: str) -> int:
    return int(part) if part.isascii() and part.isdigit() and len(part) < 9 else -1


def _item(items: Sequence[Any], position: int) -> Any:
    return items[position] if 0 <= position < len(items) else MISSING
