"""Gives the items of sets one order in JSON. A set has another order in each process, and the keys
of locks and limits are made of the JSON of arguments.

Why: docs/decisions/0132-a-key-is-json-of-the-arguments.md
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, get_args, get_origin

import msgspec

from .annotations import parts

_SCALARS = (str, int, float)
_TEXTS = (str, bytes, bytearray, memoryview)


def may_have_sets(annotation: Any) -> bool:
    """Whether a value of an annotation may be a set, or have one at any depth."""
    return any(_may_be_set(part) for part in parts(annotation))


def _may_be_set(part: Any) -> bool:
    if part in (Any, object):
        return True
    kind = get_origin(part) or part
    if not isinstance(kind, type) or issubclass(kind, _TEXTS):
        return False
    if "__pydantic_validator__" in vars(kind):
        # It takes fields that it does not declare.
        config = getattr(kind, "model_config", None) or getattr(kind, "__pydantic_config__", {})
        return bool(config.get("extra") == "allow")
    # `parts` does not look into structs, and nothing says what is in a bare container.
    if hasattr(kind, "__struct_fields__") or issubclass(kind, AbstractSet):
        return True
    return issubclass(kind, Collection) and not get_args(part) and not hasattr(kind, "_fields")


def in_order(value: Any, encoded: Any) -> Any:
    """Returns the JSON form of a value with the items of its sets sorted by their JSON.

    Args:
        encoded: the form, made of dicts, lists and scalars. It stays as it is.
    """
    if getattr(type(value), "__pydantic_root_model__", False):
        return in_order(value.root, encoded)
    if isinstance(encoded, list | tuple):
        return _ordered_list(value, encoded)
    if not isinstance(encoded, dict):
        return encoded
    if isinstance(value, Mapping):
        if len(value) != len(encoded):
            return encoded
        # The libraries keep the order, and may write a key in another way.
        pairs = zip(encoded.items(), value.values(), strict=True)
        return {name: in_order(item, form) for (name, form), item in pairs}
    items = {name: item for name, item in _fields(value) if name in encoded}
    return {
        name: in_order(items[name], form) if name in items else form
        for name, form in encoded.items()
    }


def _ordered_list(value: Any, encoded: Sequence[Any]) -> Sequence[Any]:
    is_set = isinstance(value, AbstractSet)
    if is_set or isinstance(value, list | tuple):
        if len(value) != len(encoded):
            return encoded
        # Both are in the order in which this process iterates.
        pairs = list(zip(value, encoded, strict=True))
        if is_set and any(type(item) in _SCALARS and item != form for item, form in pairs):
            return encoded  # a serializer of the application has made something else
        items = [in_order(item, form) for item, form in pairs]
        return sorted(items, key=_sort_key) if is_set else items
    if hasattr(value, "__struct_fields__"):  # with `array_like=True`; a tag would come first
        fields = [item for _, item in _fields(value)]
        first = len(encoded) - len(fields)
        if first in (0, 1):
            forms = zip(fields, encoded[first:], strict=True)
            return [*encoded[:first], *(in_order(item, form) for item, form in forms)]
    return encoded


def _sort_key(form: Any) -> bytes:
    return msgspec.json.encode(form, order="sorted")


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Yields the name in JSON and the value of each field of a record."""
    kind: Any = type(value)
    for attribute, name in _names(kind):
        yield name, getattr(value, attribute, None)
    yield from (getattr(value, "__pydantic_extra__", None) or {}).items()


@lru_cache(maxsize=1024)
def _names(kind: type) -> tuple[tuple[str, str], ...]:
    """Returns each field of a record: its attribute, and its name in JSON."""
    about: Mapping[str, Any] = getattr(kind, "__pydantic_fields__", {})
    if about:
        # A serializer of the application may mean something by an order.
        made = kind.__pydantic_decorators__  # type: ignore[attr-defined]
        others = {name for each in made.field_serializers.values() for name in each.info.fields}
        return tuple(
            (name, field.serialization_alias or name)
            for name, field in about.items()
            if not made.model_serializers and name not in others
        )
    if hasattr(kind, "__struct_fields__"):
        return tuple((each.name, each.encode_name) for each in msgspec.structs.fields(kind))
    if dataclasses.is_dataclass(kind):
        return tuple((each.name, each.name) for each in dataclasses.fields(kind))
    return ()
