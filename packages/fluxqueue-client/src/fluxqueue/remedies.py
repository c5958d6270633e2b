"""Advice: the value to pass in place of one whose type JSON can't carry."""

from __future__ import annotations

import datetime
import decimal
import inspect
import pathlib
from collections.abc import Iterable

_BY_TYPE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((set, frozenset), "pass list(value), or sorted(value)"),
    (
        (bytes, bytearray, memoryview),
        "pass base64 text, or store the data and pass a link to it",
    ),
    (decimal.Decimal, "pass str(value) and call Decimal() in the task"),
    (datetime.timedelta, "pass value.total_seconds()"),
    (datetime.tzinfo, "pass its name"),
    # orjson writes subclasses of int, str, list and dict like their base.
    (float, "pass float(value)"),
    (complex, "pass [value.real, value.imag]"),
    (pathlib.PurePath, "pass str(value)"),
    (tuple, "pass list(value), or value._asdict() of a named tuple"),
    (type, "pass its name"),
)


def type_remedy(value: object, reason: str) -> str:
    """Returns the advice for a value that orjson refused for `reason`."""
    if isinstance(value, datetime.datetime | datetime.time):
        return f"{reason}; pass a datetime in UTC, or value.isoformat()"
    for types, remedy in _BY_TYPE:
        if isinstance(value, types):
            return remedy
    if inspect.isawaitable(value):
        return "await it and pass the result"
    if callable(value) or inspect.ismodule(value):
        return "pass its name, or plain data"
    if hasattr(value, "tolist"):  # numpy, pandas, torch
        return "pass value.tolist()"
    if hasattr(value, "model_dump"):  # pydantic
        return 'pass value.model_dump(mode="json")'
    if isinstance(value, Iterable):
        return "pass list(value), or a dict"
    return "pass its id and load the object in the task, or make it a dataclass"
