"""Converts the arguments of a call to JSON types, and in the worker back to what the
annotations of the task's parameters say.

Why: docs/decisions/0064-annotated-arguments-are-converted.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import ArgumentTypeError

if TYPE_CHECKING:
    from .converters import Converter


class ConversionError(Exception):
    """An argument of a message does not fit its annotation, so the task can't run.

    The text has the name of the parameter and the type of the value, never the value.
    """


class Conversion:
    """The conversion of the arguments of one task.

    Args:
        signature: the parameters that callers see.
        converters: by the name of the parameter, for those that need one. Other names are
            keyword arguments that `**kwargs: Unpack[...]` takes.

    Attributes:
        converters: as given.
    """

    def __init__(self, signature: inspect.Signature, converters: Mapping[str, Converter]) -> None:
        self.converters = converters
        self._positional: list[tuple[str, Converter | None]] = []
        parameters = signature.parameters
        self._named = {name: c for name, c in converters.items() if name not in parameters}
        self._more: tuple[str, Converter | None] = ("", None)
        self._more_named: Converter | None = None
        for name, parameter in parameters.items():
            found = converters.get(name)
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._more = (name, found)
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._more_named = found
            else:
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    self._positional.append((name, found))
                if parameter.kind is not parameter.POSITIONAL_ONLY and found is not None:
                    self._named[name] = found

    def encode(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], where: str
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments of a call as JSON types.

        Args:
            where: names the task, for the message.

        Raises:
            ArgumentTypeError: the worker could not convert an argument back.
        """

        def convert(converter: Converter, name: str, value: Any) -> Any:
            try:
                return converter.to_json(value)
            except ValueError as error:
                text = f"{where}: argument {name} {error}; nothing of this call was enqueued"
                raise ArgumentTypeError(text) from None

        positional, named = self._apply(args, kwargs, convert)
        return tuple(positional), named

    def encode_call(self, call: Any, where: str) -> Any:
        """As `encode`, for one call of `enqueue_many`. Leaves other objects as they are."""
        if isinstance(call, tuple):
            return self.encode(call, {}, where)[0]
        if isinstance(call, Mapping):
            return self.encode((), call, where)[1]
        return call

    def decode(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Returns the arguments of a message as the types of their annotations.

        Raises:
            ConversionError: one does not fit.
        """

        def convert(converter: Converter, name: str, value: Any) -> Any:
            try:
                return converter.from_json(value)
            except ValueError as error:
                raise ConversionError(f"argument {name} {error}") from None

        return self._apply(args, kwargs, convert)

    def _apply(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        convert: Callable[[Converter, str, Any], Any],
    ) -> tuple[list[Any], dict[str, Any]]:
        positional = list(args)
        for index, value in enumerate(positional):
            if index < len(self._positional):
                name, found = self._positional[index]
            else:
                name, found = self._more
                name = f"{name}[{index - len(self._positional)}]"
            if found is not None:
                positional[index] = convert(found, name, value)
        named = dict(kwargs)
        for name, value in named.items():
            if (found := self._named.get(name, self._more_named)) is not None:
                named[name] = convert(found, name, value)
        return positional, named
