"""JSON by msgspec, with the results of orjson: `dumps`, `loads`, their errors and options.

msgspec writes more types than orjson (sets, bytes, keys that are numbers), and a few values in
another way. So `dumps` first makes of a value what msgspec writes as orjson would.

Why: docs/decisions/0275-free-threaded-builds-use-msgspec.md
"""

from __future__ import annotations

import builtins
import dataclasses
import datetime
import re
from collections.abc import Callable, Mapping
from enum import EnumMeta
from json import JSONDecodeError
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec

__all__ = ["JSONDecodeError", "JSONEncodeError", "dumps", "loads"]

JSONEncodeError = TypeError

OPT_APPEND_NEWLINE = 1 << 10
OPT_PASSTHROUGH_DATACLASS = 1 << 11
OPT_SORT_KEYS = 1 << 5
OPT_UTC_Z = 1 << 7

Default = Callable[[Any], Any]

# The most arrays and objects in each other, and the most calls of a hook for its own values.
_DEEPEST = _MOST_CALLS = 254
_DEEPEST_READ = 1024
_AS_THEY_ARE = frozenset({str, bool, type(None)})
_FROZENDICT = getattr(builtins, "frozendict", dict)
# From here on, orjson writes a float as `repr` does, and msgspec does not.
_LARGE = 1e16
_LONG_NUMBER = re.compile(rb"\d{19}")


def dumps(value: Any, default: Default | None = None, option: int | None = None) -> bytes:
    """Returns a value as JSON.

    Args:
        default: makes a value that JSON can carry of one that it can't.
        option: the options above, added.

    Raises:
        JSONEncodeError: JSON can't carry the value.
    """
    writer = _Writer(default, option or 0)
    try:
        encoded = msgspec.json.encode(writer.form(value, 0))
    except UnicodeEncodeError:
        raise JSONEncodeError("str is not valid UTF-8: surrogates not allowed") from None
    return encoded + b"\n" if writer.option & OPT_APPEND_NEWLINE else encoded


class _Writer:
    """Makes values that msgspec writes as orjson would."""

    __slots__ = ("_calls", "_default", "option")

    def __init__(self, default: Default | None, option: int) -> None:
        self._default = default
        self._calls = 0
        self.option = option

    def form(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _AS_THEY_ARE:
            return value
        if kind is int:
            if not -(2**63) <= value < 2**64:
                raise JSONEncodeError("Integer exceeds 64-bit range")
            return value
        if kind is float:
            if -_LARGE < value < _LARGE or not isfinite(value):
                return value
            return msgspec.Raw(repr(value).encode())
        if kind is list or kind is tuple:
            return self._array(value, depth)
        if kind is dict or kind is _FROZENDICT:
            return self._object(value, depth)
        return self._other(value, kind, depth)

    def _array(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        if depth == _DEEPEST:
            raise JSONEncodeError("Recursion limit reached")
        return [self.form(item, depth + 1) for item in value]

    def _object(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        if depth == _DEEPEST:
            raise JSONEncodeError("Recursion limit reached")
        found = {}
        for key, item in value.items():
            if type(key) is not str:
                raise JSONEncodeError("Dict key must be str")
            found[key] = self.form(item, depth + 1)
        return dict(sorted(found.items())) if self.option & OPT_SORT_KEYS else found

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        if kind is datetime.datetime:
            return self._moment(value)
        if kind is datetime.time:
            if value.tzinfo is not None:
                raise JSONEncodeError("datetime.time must not have tzinfo set")
            return value.isoformat()
        if kind is datetime.date or kind is UUID:
            return str(value)
        if type(kind) is EnumMeta:
            return self.form(value.value, depth)
        if issubclass(kind, str):
            return str.__str__(value)
        if issubclass(kind, int):
            return self.form(int.__int__(value), depth)
        if issubclass(kind, list):
            return self._array(list(list.__iter__(value)), depth)
        if issubclass(kind, dict):
            return self._object(dict(dict.items(value)), depth)
        if "__dataclass_fields__" in vars(kind) and not self.option & OPT_PASSTHROUGH_DATACLASS:
            return self._object(_attributes(value), depth)
        return self._by_default(value, kind, depth)

    def _by_default(self, value: Any, kind: type, depth: int) -> Any:
        refused = f"Type is not JSON serializable: {kind.__name__}"
        if self._default is None:
            raise JSONEncodeError(refused)
        if self._calls == _MOST_CALLS:
            raise JSONEncodeError("default serializer exceeds recursion limit")
        try:
            made = self._default(value)
        except Exception as error:
            raise JSONEncodeError(refused) from error
        self._calls += 1
        try:
            return self.form(made, depth)
        finally:
            self._calls -= 1

    def _moment(self, value: datetime.datetime) -> str:
        offset = value.utcoffset()
        text = value.replace(tzinfo=None).isoformat()
        if offset is None:
            return text
        if not offset and self.option & OPT_UTC_Z:
            return f"{text}Z"
        seconds = offset.total_seconds()
        hours, minutes = divmod(int(abs(seconds) + 30) // 60, 60)
        return f"{text}{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"


def _attributes(record: Any) -> dict[str, Any]:
    found = None if "__slots__" in vars(type(record)) else getattr(record, "__dict__", None)
    if found is None:
        names = [each.name for each in dataclasses.fields(record) if hasattr(record, each.name)]
        found = {name: getattr(record, name) for name in names}
    return {name: item for name, item in found.items() if not name.startswith("_")}


def loads(text: bytes | bytearray | memoryview | str) -> Any:
    """Returns the value of JSON.

    Raises:
        JSONDecodeError: it is not JSON in UTF-8, or has a float that is too large.
    """
    try:
        raw = text.encode() if isinstance(text, str) else text
        value = msgspec.json.decode(raw)
        if len(raw) > 18 and _LONG_NUMBER.search(raw):
            value = _with_floats(value)
        if len(raw) > 2 * _DEEPEST_READ:
            _check_depth(value)
    except (msgspec.DecodeError, UnicodeError, TypeError, OverflowError, RecursionError) as error:
        raise JSONDecodeError(str(error), "", 0) from None
    return value


def _with_floats(value: Any) -> Any:
    """A value with floats in the place of the integers beyond 64 bits."""
    if type(value) is list:
        return [_with_floats(item) for item in value]
    if type(value) is dict:
        return {key: _with_floats(item) for key, item in value.items()}
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(value)
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        inner: list[Any] = []
        for each in level:
            if type(each) is list:
                inner += each
            elif type(each) is dict:
                inner += each.values()
        level = [each for each in inner if type(each) in (list, dict)]
        depth += 1
        if level and depth == _DEEPEST_READ:
            raise RecursionError("too many nested arrays and objects")
