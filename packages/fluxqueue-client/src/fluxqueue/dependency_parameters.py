"""Reads which parameters of a function are dependencies."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from .annotations import JSON, is_undefined, resolve_known
from .dependencies import Dependency, inner_function, mark_in, name_of
from .errors import ConfigurationError
from .signatures import signature_of

# Texts of annotations that are made of these words alone have no mark.
_WORD = re.compile(r"[\w.]+")
_UNMARKED = {kind.__name__ for kind in (*JSON, bytes, tuple, set, object)} | {"None", "Any"}


def annotation_of(
    parameter: inspect.Parameter, function: Callable[..., Any], local_names: Mapping[str, Any]
) -> Any:
    """Returns the annotation of a parameter, with stand-ins for the names in it that are not
    defined; `inspect.Parameter.empty` if it has none, or one that can't be read."""
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    if _UNMARKED.issuperset(_WORD.findall(annotation)):
        return parameter.empty
    return resolve_known(annotation, inner_function(function), local_names)


def find_marks(
    function: Callable[..., Any], signature: inspect.Signature, local_names: Mapping[str, Any]
) -> dict[str, Dependency]:
    """Returns the marks of the parameters of a task's function that are dependencies, by name.

    Args:
        local_names: the names visible to the decorator.

    Raises:
        TypeError: a parameter can't be one; the text says why.
    """
    found = _marks(function, signature, local_names)
    inner = inspect.unwrap(function)
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if kinds == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
        for name in _marks(inner, signature_of(inner), local_names):
            raise TypeError(
                f"the parameter {name!r} of {inner.__qualname__}() is a dependency, and a decorator"
                f" may pass it, so FluxQueue can't tell what is missing; give the decorator's "
                f"wrapper this parameter, or set its __signature__"
            )
    return found


def _marks(
    function: Callable[..., Any], signature: inspect.Signature, local_names: Mapping[str, Any]
) -> dict[str, Dependency]:
    found: dict[str, Dependency] = {}
    for name, parameter in signature.parameters.items():
        mark = mark_of_parameter(parameter, function, local_names)
        if mark is None:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(
                f"the parameter {name!r} of {function.__qualname__}() is a dependency, which is "
                f"passed by name; write it without `*`, and not before a `/`"
            )
        found[name] = mark
    return found


def mark_of_parameter(
    parameter: inspect.Parameter, function: Callable[..., Any], local_names: Mapping[str, Any]
) -> Dependency | None:
    """Returns the mark of a parameter; None if it has none.

    Raises:
        TypeError: it has several, or a mark that can't be used.
    """
    annotation = annotation_of(parameter, function, local_names)
    try:
        mark = mark_in(annotation, parameter.default)
        if mark is not None and is_undefined(mark.function):
            raise TypeError(
                f"{parameter.annotation} names a function that is not defined here; define it "
                f"above, or import it at run time, outside `if TYPE_CHECKING`"
            )
    except TypeError as error:
        where = f"the parameter {parameter.name!r} of {name_of(function)}()"
        raise TypeError(f"{where}: {error}") from None
    return mark


def check_not_named(option: str, names: object, hidden: Mapping[str, Any], task: str) -> None:
    """Refuses an option that names a dependency.

    Args:
        names: the value of the option: a name, a tuple of names, or anything else.

    Raises:
        ConfigurationError: it does.
    """
    named = (names,) if isinstance(names, str) else names
    for name in named if isinstance(named, tuple) else ():
        if name in hidden:
            raise ConfigurationError(
                f"task {task!r}: {option} names {name!r}, which is a dependency: the worker makes "
                f"it, so a call has no value of it; name an argument of the call"
            )
