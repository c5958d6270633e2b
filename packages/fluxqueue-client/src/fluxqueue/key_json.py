"""The JSON of a key, of a lock or of a limit: the same bytes for equal values in every process.

Why: docs/decisions/0132-a-key-is-json-of-the-arguments.md
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fluxqueue_core import json_codec

from .errors import ArgumentTypeError, ArgumentValueError
from .return_value import attributes, has_odd_float

# orjson sorts the keys of dicts, but not the attributes of dataclasses, whose order may differ
# between two releases of an application.
_OPTIONS = json_codec.OPT_SORT_KEYS | json_codec.OPT_PASSTHROUGH_DATACLASS


def key_json(key: Any) -> bytes:
    """Returns a key as JSON.

    Raises:
        TypeError, ValueError: JSON can't carry it.
    """
    text = json_codec.dumps(key, default=_members, option=_OPTIONS)
    if b"null" in text and has_odd_float(key):
        raise ValueError("JSON has no NaN and no infinity")
    return text


def returned_key_json(key: Any, option: str, task_name: str) -> bytes:
    """Returns a key that a function of the application has returned as JSON.

    Args:
        option: that has the function, `unique` or `limit_key`.

    Raises:
        ArgumentTypeError, ArgumentValueError: JSON can't carry it.
    """
    where = f"task {task_name!r}: the function {option} returned"
    advice = "return what JSON carries, such as a str, an int or a tuple; nothing was enqueued"
    try:
        return key_json(key)
    except ValueError as error:
        raise ArgumentValueError(f"{where} a NaN or an infinity ({error}); {advice}") from None
    except TypeError as error:
        kind = type(key).__name__
        raise ArgumentTypeError(f"{where} a key of type {kind} ({error}); {advice}") from None


def _members(value: Any) -> Any:
    """Returns a dataclass as a dict, whose keys are sorted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return attributes(value)
    raise TypeError
