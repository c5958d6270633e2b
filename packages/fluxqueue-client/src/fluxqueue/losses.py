"""Finds what a converted argument or result would lose although it can be converted back.

A library that decodes without an error may still return another class, drop a field, turn
the keys of a mapping into text, or cut an offset from UTC or a time zone. Only calls of tasks
with such annotations run this module.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID

from .annotations import JSON, field_types, has_abstract, has_choices, holds_anything

# The attributes that mark dataclasses, pydantic's models, msgspec's structs and named tuples.
_RECORDS = (
    "__dataclass_fields__",
    "__pydantic_validator__",
    "__struct_fields__",
    "_field_defaults",
)
# They lose nothing.
_LEAVES = frozenset(
    (str, int, float, bool, bytes, type(None), UUID, Decimal, dt.date, dt.timedelta)
)
_NO_LEAVES: frozenset[type] = frozenset()
_CONTAINERS = (list, tuple, set, frozenset)
# The path of the value around this one, and an index or other text.
Path = tuple["Path | None", str | int]
_MINUTE = dt.timedelta(minutes=1)
_NONE = object()  # a field without a default
_MADE = object()  # a field whose default a function makes


class Choices(Enum):
    """Whether a converter may take a member of a union for another one."""

    NONE = 0
    # The annotation also lets a value arrive in its JSON form.
    OR_JSON = 1
    ALL = 2

    @classmethod
    def of(cls, annotation: Any) -> Choices:
        """Returns what the annotation of a parameter, or of a field, says."""
        if not has_choices(annotation):
            return cls.NONE
        is_loose = holds_anything(annotation) or has_abstract(annotation)
        return cls.OR_JSON if is_loose else cls.ALL


# A value, what arrives for it, where it is in the argument, and what its annotation says.
Pair = tuple[Any, Any, Path | None, Choices]


def can_lose(kind: type) -> bool:
    """Whether a value of the class, or of a subclass, may lose something silently."""
    return is_record(kind) or issubclass(kind, dt.datetime | dt.time | Mapping)


def find_loss(value: Any, decoded: Any, choices: Choices = Choices.NONE) -> str | None:
    """Returns what would not arrive, with the remedy; None if all arrives.

    Args:
        value: the argument or the result.
        decoded: what would arrive for it.
        choices: what the annotation says, if the members of its unions may have one form.
    """
    tells_apart = choices is not Choices.NONE
    pairs: list[Pair] = [(value, decoded, None, choices)]
    lost_key: str | None = None
    while pairs:
        one, other, path, choices = pairs.pop()
        kind = type(one)
        leaves = _LEAVES if choices is Choices.NONE else _NO_LEAVES
        if choices is not Choices.NONE and _is_other(one, other, choices):
            return _other_member(kind, type(other), path)
        if isinstance(one, dt.datetime | dt.time):
            if (part := _lost_part(one, other)) is not None:
                return (
                    f"its value{_at(path)} has {part}, which JSON can't carry; pass the time in UTC"
                )
        elif is_record(kind):  # type: ignore[arg-type]  # a class is hashable
            # A nested record may have the JSON form, if a field around it is `Any`.
            if type(other) is dict and path:
                continue
            if type(other) is not kind:
                return _other_class(kind, type(other), path)
            fields = _fields(kind)  # type: ignore[arg-type]  # a class is hashable
            if (name := _lost_field(one, other, fields)) is not None:
                return (
                    f"its field {_text((path, f'.{name}')).lstrip('.')!r} would not arrive; "
                    f"give the field the same alias for validation and serialization"
                )
            inside = _choices(kind) if tells_apart else {}  # type: ignore[arg-type]
            for name in fields:
                item, about = getattr(one, name, None), inside.get(name, Choices.NONE)
                if about is not Choices.NONE or type(item) not in _LEAVES:
                    pairs.append((item, getattr(other, name, None), (path, f".{name}"), about))
        elif isinstance(one, list | tuple | set | frozenset | Mapping):
            kinds = set(map(type, one))
            if isinstance(one, Mapping):
                kinds.update(map(type, one.values()))
                if (key := _lost_key(one, other)) is not _NONE:
                    # Not yet returned: the offset of a datetime says more about it.
                    lost_key = lost_key or _key_text(type(key), path)
            if not kinds <= leaves:
                pairs.extend(
                    (*item, choices)
                    for item in _items(one, other, path)
                    if type(item[0]) not in leaves
                )
    return lost_key


def _text(path: Path | None) -> str:
    parts = []
    while path is not None:
        path, part = path
        parts.append(f"[{part}]" if isinstance(part, int) else part)
    return "".join(reversed(parts))


def _at(path: Path | None) -> str:
    return f" at {_text(path)}" if path else ""


def _other_class(kind: type, arrives: type, path: Path | None) -> str:
    return (
        f"its value{_at(path)} is of the class {kind.__qualname__}, which would arrive as "
        f"{arrives.__qualname__}; annotate {kind.__qualname__}, or give the classes of a union a "
        f"field that tells them apart"
    )


def _other_member(kind: type, arrives: type, path: Path | None) -> str:
    return (
        f"its value{_at(path)} is of the class {kind.__qualname__}, which would arrive as "
        f"{arrives.__qualname__}, because both have the same form in JSON; annotate one of them"
    )


def _is_other(value: Any, decoded: Any, choices: Choices) -> bool:
    """Whether a value arrives as another member of its union."""
    kind, arrives = type(value), type(decoded)
    if kind is arrives or (choices is Choices.OR_JSON and arrives in JSON):
        return False
    if isinstance(value, Enum | bool):
        return True  # it may be equal to its value
    if isinstance(value, str | int | float):
        # A float may arrive as an equal int, and a subclass of str as str.
        return bool(value != decoded)
    if isinstance(value, Mapping):
        return not isinstance(decoded, Mapping)
    if is_record(kind):  # type: ignore[arg-type]  # a class is hashable
        return arrives is dict
    if isinstance(value, _CONTAINERS):
        return not any(isinstance(value, one) and isinstance(decoded, one) for one in _CONTAINERS)
    return not issubclass(kind, arrives)


def _lost_key(value: Mapping[Any, Any], decoded: Any) -> Any:
    """Returns a key that arrives as another one; `_NONE` if there is none."""
    if not isinstance(decoded, Mapping) or value.keys() <= decoded.keys():
        return _NONE
    # A `TypedDict` ignores keys that it does not declare.
    return next((key for key in value if not (type(key) is str or key in decoded)), _NONE)


def _key_text(kind: type, path: Path | None) -> str:
    return (
        f"its value{_at(path)} has a key of type {kind.__qualname__}, which would arrive as "
        f"another one; make the keys str, or annotate one type for all keys, such as "
        f"dict[int, ...]"
    )


def _lost_part(value: Any, decoded: Any) -> str | None:
    """Returns the part of a datetime or time that does not arrive, as text."""
    offset: dt.timedelta | None = value.utcoffset()
    if offset is None:
        # Not the fold: `datetime.now()` sets it in one hour of the year, in which no call may fail.
        return None if value.tzinfo is None else "a time zone whose offset depends on the day"
    if not offset % _MINUTE:
        return None
    # The text that a field of `Any` gets is cut too.
    arrives = isinstance(decoded, dt.datetime | dt.time) and decoded.utcoffset() == offset
    return None if arrives else "an offset from UTC with seconds"


def _items(value: Any, decoded: Any, path: Path | None) -> Iterator[tuple[Any, Any, Path]]:
    """Yields each item of a container, what arrives for it, and its path."""
    inside = (path, "[...]")  # a key is a value, which no text may have
    if isinstance(value, Mapping):
        others = list(decoded.items()) if isinstance(decoded, Mapping) else []
        for (key, item), (other_key, other) in zip(value.items(), others, strict=False):
            yield key, other_key, inside
            yield item, other, inside
    elif isinstance(value, list | tuple):
        others = list(decoded) if isinstance(decoded, list | tuple) else []
        for index, (item, other) in enumerate(zip(value, others, strict=False)):
            yield item, other, (path, index)
    else:  # the order of a set may differ
        equal = {item: item for item in decoded} if isinstance(decoded, set | frozenset) else {}
        rest = [item for item in equal if item not in value]
        for item in value:
            yield item, equal.get(item, rest[0] if rest else item), inside


@lru_cache(maxsize=1024)
def is_record(kind: type) -> bool:
    """Whether the class has fields: a dataclass, a model, a struct or a named tuple."""
    return any(hasattr(kind, mark) for mark in _RECORDS)


@lru_cache(maxsize=1024)
def _fields(kind: type) -> Mapping[str, Any]:
    """Returns the fields that are sent, each with its default, `_NONE` or `_MADE`."""
    about: Mapping[str, Any] = getattr(kind, "__pydantic_fields__", {})
    if about:
        return {
            name: _default(field)
            for name, field in about.items()
            if not field.exclude and not getattr(field, "exclude_if", None)
        }
    # The libraries use the same names of these in both directions, so no default is needed.
    if dataclasses.is_dataclass(kind):
        return {field.name: _NONE for field in dataclasses.fields(kind)}
    names = getattr(kind, "__struct_fields__", getattr(kind, "_fields", ()))
    return dict.fromkeys(names, _NONE)


@lru_cache(maxsize=1024)
def _choices(kind: type) -> Mapping[str, Choices]:
    """Returns what the annotation of each field says."""
    return {name: Choices.of(hint) for name, hint in field_types(kind).items()}


def _default(field: Any) -> Any:
    if field.default_factory is not None:
        return _MADE
    return _NONE if field.is_required() else field.default


def _lost_field(value: Any, decoded: Any, fields: Mapping[str, Any]) -> str | None:
    """Returns a field that was set and arrives with its default."""
    given: set[str] | None = getattr(value, "__pydantic_fields_set__", None)
    if given is not None:  # a pydantic model, not a dataclass
        missing = given - getattr(decoded, "__pydantic_fields_set__", given)
        return next((name for name in fields if name in missing), None)
    if not getattr(type(value), "__pydantic_fields__", None):
        return None
    for name, default in fields.items():
        if default is not _NONE:
            sent, arrived = getattr(value, name, None), getattr(decoded, name, None)
            if sent != arrived and (default is _MADE or arrived == default):
                return name
    return None
