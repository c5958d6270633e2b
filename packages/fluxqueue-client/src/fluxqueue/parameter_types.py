"""Decides at the declaration of a task which of its arguments are converted.

A parameter whose annotation is plain JSON, `Any`, or missing costs nothing: its task has
no `Conversion`. One that no library can convert is refused.

Why: docs/decisions/0064-annotated-arguments-are-converted.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .annotations import UnresolvedError, is_plain, keywords, resolve
from .dependencies import mark_in
from .signatures import signature_of

if TYPE_CHECKING:
    from .conversion import Conversion
    from .converters import Converter


class ParameterTypes(NamedTuple):
    """The meaning of the annotations of a task's parameters.

    Attributes:
        conversion: None if all annotations are plain.
        unresolved: the parameters whose annotation has a name that is not defined, each
            with the error as text.
    """

    conversion: Conversion | None = None
    unresolved: Mapping[str, str] = {}


def read_types(
    func: Callable[..., Any], signature: inspect.Signature, local_names: Mapping[str, Any]
) -> ParameterTypes:
    """Reads the annotations of the parameters that callers see.

    Args:
        func: the decorated function.
        local_names: the names visible to the decorator.

    Raises:
        TypeError: an annotation can't be converted. The text says what to do.
    """
    unresolved: dict[str, str] = {}
    converters: dict[str, Converter] = {}
    for name, annotation, has_default in _annotations(func, signature):
        try:
            annotation = resolve(annotation, func, local_names)
            if mark_in(annotation, None) is not None:
                raise TypeError(
                    f"the annotation of the parameter {name!r} of {func.__qualname__}() is a "
                    f"dependency, but was not defined when the task was declared; define it above"
                )
            for key, kind in keywords(annotation, name):
                found = None if is_plain(kind) else _converter(func, key, kind, has_default)
                if found is None:
                    continue
                if name not in signature.parameters:
                    raise TypeError(_hidden(func, key, found.annotation))
                converters[key] = found
        except UnresolvedError as error:
            unresolved[name] = str(error)
    if not converters:
        return ParameterTypes(None, unresolved)
    from .conversion import Conversion  # most tasks need none

    return ParameterTypes(Conversion(signature, converters), unresolved)


def _hidden(func: Callable[..., Any], name: str, annotation: str) -> str:
    return (
        f"{func.__qualname__}() has a parameter {name!r} of {annotation}, and a decorator that may "
        f"add arguments, so FluxQueue can't tell which argument it is; give the decorator's "
        f"wrapper the parameters that callers pass, or set its __signature__"
    )


def _annotations(
    func: Callable[..., Any], signature: inspect.Signature
) -> list[tuple[str, Any, bool]]:
    """Returns name, annotation, and whether callers may omit it, for each parameter.

    If a wrapper accepts every call, these are the parameters of the function inside.
    """
    parameters = dict(signature.parameters)
    inner = inspect.unwrap(func)
    kinds = [parameter.kind for parameter in parameters.values()]
    accepts_all = kinds == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]
    if accepts_all and inner is not func:
        parameters = dict(signature_of(inner).parameters)
    return [
        (
            name,
            parameter.annotation,
            parameter.default is not parameter.empty
            or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            or name not in signature.parameters,
        )
        for name, parameter in parameters.items()
        if parameter.annotation is not parameter.empty
    ]


def _converter(
    func: Callable[..., Any], name: str, annotation: Any, has_default: bool
) -> Converter | None:
    from .converters import UnsupportedError, converter  # most tasks need no conversion

    try:
        return converter(annotation)
    except UnsupportedError as error:
        # An argument that callers never pass: a client, a logger, a decorator's session.
        if has_default and error.is_foreign:
            return None
        raise TypeError(
            f"the parameter {name!r} of {func.__qualname__}() is annotated "
            f"{inspect.formatannotation(annotation)}, which a worker can't make from JSON "
            f"({error}); annotate a type of docs/calling.md, such as a dataclass, or pass an id; "
            f"give it a default if callers never pass it"
        ) from None
