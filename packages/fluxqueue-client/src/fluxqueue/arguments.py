"""Finds the argument that JSON can't carry, and says what to pass instead.

A call that succeeds runs nothing of this module. orjson, which writes the arguments, also
finds the fault: a value is at fault if orjson refuses the value but accepts every item in
it, or if it has no items.
"""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import math
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from fluxqueue_core import json_codec

from .around_enqueue import is_of_middleware
from .errors import ArgumentTypeError, ArgumentValueError, FluxQueueError
from .remedies import type_remedy

_KEY_CHARACTERS_SHOWN = 40
# Python 3.15 has `frozendict`, which is not a `dict`.
_DICTS = (dict, getattr(builtins, "frozendict", dict))


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The fault of one argument.

    Attributes:
        text: `argument order["lines"][2] is a set, ...; <remedy>`, or `the
            arguments ...`, without any value of the call.
        is_type: whether the fault is the type; otherwise it is the value.
    """

    text: str
    is_type: bool

    def error(self, where: str) -> FluxQueueError:
        """Returns the exception to raise; `where` names the task and the call."""
        kind = ArgumentTypeError if self.is_type else ArgumentValueError
        return kind(f"{where}: {self.text}; nothing of this call was enqueued")


def explain(
    error: Exception,
    where: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Exception:
    """Returns the exception that the caller sees in place of the core's `error`."""
    if isinstance(error, FluxQueueError) or is_of_middleware(error):
        return error
    finding = diagnose(signature, args, kwargs)
    if finding is None:  # an argument has changed since, or the case is unknown
        return ArgumentTypeError(f"{where}: {error}; nothing was enqueued")
    return finding.error(where)


def diagnose(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Finding | None:
    """Finds the first argument that orjson can't write; None if it can write all.

    Args:
        signature: the signature of the call. The arguments fit it.
    """
    for name in kwargs:
        if _refused(name):
            return _surrogates("the name of a keyword argument")
    for name, value in _named(signature, args, kwargs):
        if _refused(value):
            return _find_refused(value, name, name, frozenset())
        if (path := _find_not_finite(value, name, frozenset())) is not None:
            return Finding(
                f"argument {path} is NaN or an infinity, which JSON can't carry; "
                f"pass None or str(value)",
                is_type=False,
            )
    return None


def _named(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    bound = signature.bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{i}]", item) for i, item in enumerate(value))
        elif kind is inspect.Parameter.VAR_KEYWORD:
            for key, item in value.items():
                yield (key if key.isidentifier() else f"{name}{_key(key)}"), item
        else:
            yield name, value


def _refused(value: object) -> str | None:
    """Returns why orjson refuses the value as an argument (one level down); None if it
    accepts the value."""
    try:
        json_codec.dumps((value,))
    except json_codec.JSONEncodeError as error:
        return str(error)
    return None


def _children(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """Yields each item that orjson writes inside the value, with its path."""
    if isinstance(value, Enum):
        yield f"{path}.value", value.value
    elif isinstance(value, _DICTS):
        for key, item in value.items():
            yield f"{path}{_key(key)}", item
    elif isinstance(value, list) or type(value) is tuple:
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if not field.name.startswith("_") and hasattr(value, field.name):
                yield f"{path}.{field.name}", getattr(value, field.name)


def _find_refused(value: Any, path: str, argument: str, above: frozenset[int]) -> Finding:
    reason = _refused(value) or ""
    if id(value) in above:
        return Finding(
            f"argument {argument} contains itself (at {path}), which JSON can't carry; "
            f"pass it without the circle",
            is_type=False,
        )
    if isinstance(value, _DICTS):
        for key in value:
            if type(key) is not str:
                return Finding(
                    f"argument {path} is a dict with a key of type {type(key).__name__}, and JSON "
                    f"has only str keys; make the keys str (str(key), or key.value of an Enum)",
                    is_type=True,
                )
            if _refused(key):
                return _surrogates(f"a key of argument {path}")
    for child_path, child in _children(value, path):
        if _refused(child):
            return _find_refused(child, child_path, argument, above | {id(value)})
    if isinstance(value, str):
        return _surrogates(f"argument {path}")
    if isinstance(value, int):
        return Finding(
            f"argument {path} is an integer beyond 64 bits, which JSON readers can't carry; "
            f"pass str(value) and call int() in the task",
            is_type=False,
        )
    if isinstance(value, (*_DICTS, list, tuple)) and "ecursion" in reason:
        return Finding(
            f"argument {argument} is nested too deeply (more than about 250 levels); "
            f"pass a flatter value, or its id",
            is_type=False,
        )
    name = type(value).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return Finding(
        f"argument {path} is {article} {name}, which JSON can't carry; "
        f"{type_remedy(value, reason)}",
        is_type=True,
    )


def _surrogates(what: str) -> Finding:
    return Finding(
        f"{what} is a str with lone surrogates, which UTF-8 can't carry; "
        f"decode it with errors='replace', or pass its bytes as base64 text",
        is_type=False,
    )


def _find_not_finite(value: Any, path: str, above: frozenset[int]) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    for child_path, child in _children(value, path):
        if id(child) not in above:
            found = _find_not_finite(child, child_path, above | {id(value)})
            if found is not None:
                return found
    return None


def _key(key: object) -> str:
    text = str(key)
    if len(text) > _KEY_CHARACTERS_SHOWN:
        text = text[:_KEY_CHARACTERS_SHOWN] + "..."
    return '["' + ascii(text)[1:-1] + '"]'
