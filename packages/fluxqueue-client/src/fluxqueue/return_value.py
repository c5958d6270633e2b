"""Encodes what a task returns, and decodes it for the caller, as the return annotation says.

Without an annotation, or with a plain one, the value arrives in its JSON form.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from fluxqueue_core import json_codec

from .annotations import NOTHING, UnresolvedError, is_plain, resolve

if TYPE_CHECKING:
    from .converters import Converter

_NULL = b"null"


class ReturnValue:
    """The value that a task returns.

    The annotation is read when the first result is encoded or decoded: most tasks keep none.

    Args:
        func: the decorated function.
        annotation: what it says about its result.
        where: names the task, for messages.
    """

    __slots__ = ("_annotation", "_converter", "_func", "_is_read", "_where")

    def __init__(
        self,
        func: Callable[..., Any],
        annotation: Any,
        where: str,
    ) -> None:
        self._func = func
        self._annotation = annotation
        self._where = where
        self._converter: Converter | None = None
        self._is_read = False

    def know(self, local_names: Mapping[str, Any]) -> None:
        """Looks names of the annotation up in those that are visible to the decorator."""
        if local_names and isinstance(self._annotation, str):
            with contextlib.suppress(UnresolvedError):
                self._annotation = resolve(self._annotation, self._func, local_names)

    def check(self) -> None:
        """Reads the annotation now.

        Raises:
            TypeError: a caller can't make its type from JSON.
        """
        if self._is_read or self._annotation is inspect.Signature.empty:
            return
        try:
            annotation = resolve(self._annotation, self._func, {})
        except UnresolvedError:
            return  # a name that is defined further down, or for type checkers only
        if annotation not in NOTHING and not is_plain(annotation):
            self._converter = _converter(annotation, self._where)
        self._is_read = True

    def _read(self) -> Converter | None:
        if not self._is_read:
            try:
                self.check()
            except TypeError:
                # `result_ttl` of a call: the declaration of the task did not refuse it.
                self._is_read = True
        return self._converter

    def encode(self, value: Any) -> bytes:
        """Returns the value as JSON.

        Raises:
            TypeError: JSON can't carry it, or the caller could not convert it back.
            ValueError: it has a float that JSON can't carry.
        """
        converter = self._read()
        if converter is not None:
            try:
                value = converter.to_json(value)
            except ValueError as error:
                raise TypeError(f"{self._where}: the result {error}") from None
        try:
            encoded = json_codec.dumps(value)
        except TypeError as error:
            raise TypeError(
                f"{self._where}: its result can't be kept, because JSON can't carry it "
                f"({_reason(error)}); return JSON types, or annotate the type that the function "
                f"returns"
            ) from None
        if _NULL in encoded and has_odd_float(value):
            raise ValueError(
                f"{self._where}: its result can't be kept, because JSON has no NaN and no infinity"
            )
        return encoded

    def __reduce__(self) -> tuple[Any, ...]:
        # The function can't be in a pickle: its task has its name. The annotation can, if its
        # classes can.
        annotation: Any = inspect.Signature.empty
        if self._read() is not None:
            annotation = resolve(self._annotation, self._func, {})
        return ReturnValue, (_no_function, annotation, self._where)

    def decode(self, value: Any) -> Any:
        """Returns the value of decoded JSON as the type of the annotation.

        Raises:
            ValueError: it does not fit. Another version of the code has run the task.
        """
        converter = self._read()
        return value if converter is None else converter.from_json(value)


def _no_function() -> None:
    """In place of the function, for an annotation without names to look up."""


def _converter(annotation: Any, where: str) -> Converter:
    from .converters import UnsupportedError, converter  # most tasks need no conversion

    try:
        return converter(annotation)
    except UnsupportedError as error:
        raise TypeError(
            f"{where}: the function is annotated to return {inspect.formatannotation(annotation)}, "
            f"which a caller can't make from JSON ({error}); annotate a type of docs/calling.md, "
            f"such as a dataclass, or leave out result_ttl"
        ) from None


def _reason(error: TypeError) -> str:
    cause = error.__cause__
    return str(error) if cause is None else f"{error}: {cause}"


def has_odd_float(value: Any) -> bool:
    """Whether a NaN or an infinity is in a value. orjson writes null for both."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(has_odd_float(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(has_odd_float(each) for each in value)
    if isinstance(value, Enum):
        return has_odd_float(value.value)
    if dataclasses.is_dataclass(value):
        return any(has_odd_float(each) for each in attributes(value).values())
    return False


def attributes(record: Any) -> dict[str, Any]:
    """The attributes of an instance of a dataclass that orjson writes."""
    found = getattr(record, "__dict__", {})
    names = [*found, *(each.name for each in dataclasses.fields(record) if each.name not in found)]
    return {name: getattr(record, name, None) for name in names if not name.startswith("_")}
