"""Converts the values of one annotation to JSON types and back, by msgspec or pydantic.

Imported only if a task has a parameter that needs it.
"""

from __future__ import annotations

import inspect
import pathlib
import re
import sys
import typing
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from fluxqueue_core import json_codec

from .annotations import (
    UnresolvedError,
    classes,
    field_types,
    holds_anything,
    keys_of_mappings,
)
from .losses import Choices, can_lose, find_loss, is_record
from .set_order import in_order, may_have_sets

# Pydantic writes this text in place of a secret.
_MASK = b'"**********"'
# msgspec passes these to our hooks.
_BY_CONSTRUCTOR = (str, int, float, pathlib.PurePath)


class UnsupportedError(Exception):
    """No library can convert an annotation.

    Attributes:
        is_foreign: whether a class of the application is the reason.
    """

    def __init__(self, text: str, is_foreign: bool) -> None:
        super().__init__(text)
        self.is_foreign = is_foreign


class MisfitError(ValueError):
    """A value does not fit an annotation. The text has its type, and never the value."""


@dataclass(frozen=True, slots=True)
class Converter:
    """The conversion of one annotation.

    Attributes:
        annotation: as text, for messages.
        kind: the annotation itself.
        encode: returns a value as JSON types. Raises any exception.
        decode: returns the value of JSON types. Raises any exception.
        may_lose: whether a value may lose something although it can be converted back.
        choices: what the annotation says, if the members of its unions may have one form.
    """

    annotation: str
    kind: Any
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    may_lose: bool
    choices: Choices = Choices.NONE

    def to_json(self, value: Any) -> Any:
        """Returns a value as JSON types.

        Raises:
            MisfitError: the worker could not convert the result back, or would lose a part.
        """
        try:
            encoded = self.encode(value)
            decoded = self.decode(encoded)
            loss = find_loss(value, decoded, self.choices) if self.may_lose else None
        except Exception as error:  # noqa: BLE001  # of the library, or of the application's class
            raise MisfitError(self._text(value, error)) from None
        if loss is not None:
            raise MisfitError(f"is annotated {self.annotation}, and {loss}")
        return encoded

    def from_json(self, value: Any) -> Any:
        """Returns the value that `to_json` has encoded.

        Raises:
            MisfitError: it does not fit the annotation.
        """
        try:
            return self.decode(value)
        except Exception as error:  # noqa: BLE001
            raise MisfitError(self._text(value, error)) from None

    def _text(self, value: Any, error: Exception) -> str:
        place = _place(error, self.kind)
        inside = f", and does not fit at {place}" if place else ""
        name = type(value).__name__
        article = "an" if name[:1].lower() in "aeiou" else "a"
        if isinstance(self.kind, type) and type(value) is self.kind:
            inside = f", whose JSON form can't be converted back{inside}"
        return f"is annotated {self.annotation}, and its value is {article} {name}{inside}"


def converter(annotation: Any) -> Converter:
    """Returns the converter for an annotation that is not plain.

    Raises:
        UnsupportedError: there is none.
        UnresolvedError: an annotation inside a class has a name that is not defined.
    """
    text = inspect.formatannotation(annotation)
    keys = list(keys_of_mappings(annotation))
    if any(key is None or key is type(None) for key in keys):
        raise UnsupportedError("the keys of JSON objects can't be None", is_foreign=False)
    if any("__pydantic_validator__" in vars(kind) for kind in classes(annotation)):
        return _by_pydantic(annotation, text)
    # pydantic has a text for more of them, and the call tells.
    for key in keys:
        if _is_no_key(key):
            name = inspect.formatannotation(key)
            raise UnsupportedError(f"the keys of JSON objects can't be {name}", is_foreign=False)
    foreign = [kind for kind in _foreign(annotation) if not issubclass(kind, _BY_CONSTRUCTOR)]
    try:
        msgspec.json.Decoder(annotation, dec_hook=_make)
    # The latter: an Enum with a value beyond 64 bits.
    except (TypeError, NotImplementedError) as error:
        raise UnsupportedError(str(error), bool(foreign)) from None
    except (AttributeError, NameError) as error:  # of the annotation of a field
        raise UnresolvedError(str(error)) from None
    if foreign:
        raise UnsupportedError(f"JSON has no form of {foreign[0].__qualname__}", is_foreign=True)

    has_sets = may_have_sets(annotation)

    def encode(value: Any) -> Any:
        encoded = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
        return in_order(value, encoded) if has_sets else encoded

    def decode(value: Any) -> Any:
        return msgspec.convert(value, annotation, str_keys=True, dec_hook=_make)

    return Converter(text, annotation, encode, decode, _may_lose(annotation))


def _place(error: Exception, annotation: Any) -> str:
    """The place in a value of what does not fit, as `.lines[0].price`; empty if it is unknown. It
    has names of fields only, because the keys of a mapping are a part of the value."""
    text = str(error)
    if (found := re.search(r" - at `\$?([^`]*)`$", text)) is not None:  # of msgspec
        return found[1]
    if not type(error).__module__.startswith("pydantic_core"):
        return ""
    names = {name for kind in classes(annotation) for name in _names(kind)}
    errors: Any = getattr(error, "errors", None)  # in JSON; otherwise the value can't be written
    if errors is not None:
        # The longest is that of the member of a union that fits best.
        steps = max((each["loc"] for each in errors()), key=len, default=())
        kinds = {kind.__name__ for kind in classes(annotation)}  # each is a step into a union
        parts = [
            f"[{step}]" if isinstance(step, int) else f".{step}" if step in names else "[...]"
            for step in steps
            if step in names or step not in kinds
        ]
        while parts and parts[-1] == "[...]":
            parts.pop()
        return "".join(parts)
    found = re.search(r"\[field_name='([^']*)'", text)
    return f"the field {found[1]}" if found is not None and found[1] in names else ""


def _names(kind: type) -> Iterator[str]:
    """Yields the names that the fields of a class have in JSON."""
    yield from field_types(kind)
    for field in getattr(kind, "__pydantic_fields__", {}).values():
        yield from (each for each in (field.alias, field.validation_alias) if isinstance(each, str))


def _may_lose(annotation: Any) -> bool:
    return holds_anything(annotation) or any(can_lose(kind) for kind in classes(annotation))


def _is_no_key(annotation: Any) -> bool:
    """Whether msgspec writes no value of an annotation as the key of a JSON object."""
    kind = typing.get_origin(annotation) or annotation
    if not isinstance(kind, type) or issubclass(kind, str | bytes | Enum):
        return False
    return kind is bool or issubclass(kind, Collection) or is_record(kind)  # type: ignore[arg-type]


def _by_pydantic(annotation: Any, text: str) -> Converter:
    try:
        adapter = sys.modules["pydantic"].TypeAdapter(annotation)
    except Exception as error:  # noqa: BLE001  # pydantic has several, and validators may raise
        if isinstance(error, NameError) or getattr(error, "code", "") == "class-not-fully-defined":
            raise UnresolvedError(str(error)) from None
        raise UnsupportedError(str(error), is_foreign=True) from None

    # The base of all secrets; not every version of pydantic exports it.
    secret = getattr(sys.modules["pydantic"].types, "_SecretBase", None)
    has_sets = may_have_sets(annotation)
    has_secrets = any(secret is None or issubclass(kind, secret) for kind in classes(annotation))

    def encode(value: Any) -> Any:
        encoded = adapter.dump_python(
            value, mode="json", by_alias=True, round_trip=True, warnings="error"
        )
        if has_secrets and _MASK in json_codec.dumps(encoded):
            raise ValueError("a secret is masked")
        return in_order(value, encoded) if has_sets else encoded

    # A strict model takes a datetime from JSON text, but not from a str.
    def decode(value: Any) -> Any:
        return adapter.validate_json(json_codec.dumps(value))

    # msgspec refuses unions whose members have the same form.
    return Converter(
        text, annotation, encode, decode, _may_lose(annotation), Choices.of(annotation)
    )


def _foreign(annotation: Any) -> Iterator[type]:
    """Yields the classes in an annotation that msgspec does not know."""
    for kind in classes(annotation):
        try:
            info = msgspec.inspect.type_info(kind)
        except Exception:  # noqa: BLE001  # unsupported: not a matter of the class
            continue
        if isinstance(info, msgspec.inspect.CustomType):
            yield kind


def _plain(value: Any) -> Any:
    """Encodes an instance of `_BY_CONSTRUCTOR`."""
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"JSON has no form of {type(value).__name__}")


def _make(kind: type, value: Any) -> Any:
    """Decodes an instance of `_BY_CONSTRUCTOR`."""
    json: Any
    for base, json in ((pathlib.PurePath, str), (str, str), (int, int), (float, int | float)):
        if issubclass(kind, base) and isinstance(value, json) and not isinstance(value, bool):
            make: Callable[[Any], Any] = kind
            return make(value)
    raise TypeError(f"a {type(value).__name__} is no {kind.__name__}")
