"""The arguments of a call by the names of their parameters, for keys made of them."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ConfigurationError
from .options import Terms
from .task_properties import TaskProperties


class ArgumentsByName:
    """Finds the arguments of the calls of one task by the names of their parameters, however a
    call passes them."""

    __slots__ = ("_defaults", "_task")

    def __init__(self, task: TaskProperties[Any, Any]) -> None:
        self._task = task
        # Made at the first call: an annotation may name a class that is defined further down.
        self._defaults: Mapping[str, Any] | None = None

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of a call, and the defaults of those that it leaves out.

        Args:
            args, kwargs: as JSON has them.
        """
        if self._defaults is None:
            self._defaults = _forms_of_defaults(self._task)
        return bound(self._task.__signature__, args, kwargs, self._defaults)


def _forms_of_defaults(task: TaskProperties[Any, Any]) -> dict[str, Any]:
    """Returns the defaults that are more than a scalar of JSON, as a message would have them.
    Those that no message can carry are left out."""
    forms = {}
    for name, parameter in task.__signature__.parameters.items():
        default = parameter.default
        if default is parameter.empty or _is_plain(default):
            continue
        converter = task._converter(name)
        with contextlib.suppress(TypeError, ValueError):
            if converter is not None:
                forms[name] = converter.to_json(default)
            else:
                from fluxqueue_core import json_codec

                from .key_json import key_json

                forms[name] = json_codec.loads(key_json(default))
    return forms


def bound(
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the arguments of a call by the names of their parameters.

    Args:
        defaults: the JSON forms of those that are more than a scalar of JSON. One that is missing
            counts as the same in all calls.
    """
    arguments: dict[str, Any] = dict(signature.bind(*args, **kwargs).arguments)
    for parameter in signature.parameters.values():
        if parameter.name in arguments:
            continue
        default = parameter.default
        if parameter.kind is parameter.VAR_POSITIONAL:
            default = []
        elif parameter.kind is parameter.VAR_KEYWORD:
            default = {}
        elif not _is_plain(default):
            default = defaults.get(parameter.name, {"default": parameter.name})
        arguments[parameter.name] = default
    return arguments


def values_of(
    signature: inspect.Signature, arguments: Mapping[str, Any], names: Sequence[str]
) -> list[Any]:
    """Returns the values of these parameters, of what `bound` returned."""
    parameters = signature.parameters.values()
    more = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    others = {} if more is None else arguments[more]
    return [arguments[name] if name in arguments else others.get(name) for name in names]


def _is_plain(value: object) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is int:
        return -(2**63) <= value < 2**64
    return value is None or type(value) in (bool, str)


def check_keys(terms: Terms, signature: inspect.Signature, task: str) -> None:
    """Checks the options of a task that name its parameters.

    Raises:
        ConfigurationError: it does not have them.
    """
    for option, names in (("unique", terms.unique), ("limit_key", terms.limit_key)):
        check_parameters(option, names, signature, task)


def check_parameters(option: str, names: object, signature: inspect.Signature, task: str) -> None:
    """Checks that the function has the parameters that an option names.

    Args:
        names: the value of the option: a name, a tuple of names, or anything else.

    Raises:
        ConfigurationError: it has not.
    """
    named = (names,) if isinstance(names, str) else names
    if not isinstance(named, tuple):
        return
    parameters = signature.parameters.values()
    known = [p.name for p in parameters]
    kinds = {p.kind for p in parameters}
    by_name = inspect.Parameter.VAR_KEYWORD in kinds
    by_position = inspect.Parameter.VAR_POSITIONAL in kinds
    for name in named:
        if name in known or (by_name and not by_position):
            continue
        text = f"task {task!r}: {option} names {name!r}, which is not a parameter"
        if by_name:
            raise ConfigurationError(
                f"{text}: a call may pass it by position, where it has no name; name the "
                f"parameters (of declare: by signature=...)"
            )
        raise ConfigurationError(f"{text}; it has {', '.join(known) or 'none'}")
