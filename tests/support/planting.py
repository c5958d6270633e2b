"""Something bad, somewhere in a generated value."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def plant(value: Any, bad: Any, data: st.DataObject) -> Any:
    """The value with `bad` somewhere in it."""
    if isinstance(value, list) and value:
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], plant(value[index], bad, data), *value[index + 1 :]]
    if isinstance(value, dict) and value:
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: plant(value[key], bad, data)}
    return bad
