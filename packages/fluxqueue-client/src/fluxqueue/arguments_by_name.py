"""The arguments of a call by the names of their parameters, for keys made of them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ConfigurationError


def bound(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the arguments of a call by the names of their parameters, however it passes them.
    A default that JSON can't carry as it is counts as the same in all calls."""
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
            default = {"default": parameter.name}
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
