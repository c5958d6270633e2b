"""Reads the annotations of a function's parameters, and finds those that JSON does not
carry as they are.

Only a declaration runs this module. An annotation that can't be resolved, or that is of a
kind that this module does not know, counts as plain: its values arrive in their JSON form.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from .closures import closure

# The types of decoded JSON.
JSON: tuple[type, ...] = (str, int, float, bool, list, dict, type(None))
_SCALARS = (str, int, float, bool, type(None))
# They say something about the annotation in them.
_MARKS = (typing.Annotated, typing.Final, typing.NotRequired, typing.Required, typing.Unpack)
# No value has these types. A function that is annotated to return one always raises.
NOTHING = (typing.Never, typing.NoReturn)
# A module that imports these names only for type checkers means these classes by them.
_FALLBACK = {**vars(typing), **vars(collections.abc)}


class UnresolvedError(Exception):
    """An annotation has a name that is not defined, or not yet. The text is Python's."""


def resolve(annotation: Any, func: Callable[..., Any], local_names: Mapping[str, Any]) -> Any:
    """Returns an annotation with its names replaced by the objects that they mean.

    Args:
        func: the function that is annotated; its names are looked up there.
        local_names: names of the function around it.

    Raises:
        UnresolvedError: a name is not defined.
    """
    local, module = _names(func, local_names)
    error: Exception | None = None
    for names in (module, {**_FALLBACK, **module}):
        try:
            return _evaluated(annotation, names, local)
        except Exception as failure:  # noqa: BLE001  # the text may be any expression
            error = failure
    raise UnresolvedError(str(error))


class _Undefined:
    """Stands for a name that is not defined, and for what an annotation makes of it."""

    def __getattr__(self, name: str) -> _Undefined:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, item: object) -> _Undefined:
        return self

    def __call__(self, *args: object, **kwargs: object) -> _Undefined:
        return self

    def __or__(self, other: object) -> _Undefined:
        return self

    __ror__ = __or__


def resolve_known(annotation: str, func: Callable[..., Any], local_names: Mapping[str, Any]) -> Any:
    """As `resolve`, but a name that is not defined becomes a stand-in: the metadata of
    `Annotated` counts even if only type checkers know its type. Returns
    `inspect.Parameter.empty` if the text can't be read in this way either."""
    local, module = _names(func, local_names)
    known = {**_FALLBACK, **module, **local}
    while True:
        try:
            return _evaluated(annotation, module, known)
        except NameError as error:
            if error.name is None or error.name in known:
                return inspect.Parameter.empty
            known[error.name] = _Undefined()
        except Exception:  # noqa: BLE001  # the text may be any expression
            return inspect.Parameter.empty


def is_undefined(value: object) -> bool:
    """Whether `resolve_known` has put it in the place of a name."""
    return isinstance(value, _Undefined)


def _names(
    func: Callable[..., Any], local_names: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The local and the global names of a function's annotations."""
    inner = inspect.unwrap(func)
    return {**local_names, **closure(inner)}, getattr(inner, "__globals__", {})


def _evaluated(annotation: Any, names: dict[str, Any], local: dict[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(holder, names, local, include_extras=True)["it"]


def keywords(annotation: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yields the name and the annotation of each argument that a parameter takes: several for
    `**name: Unpack[...]` of a `TypedDict`."""
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Unpack and typing.is_typeddict(inner[0]):
        yield from typing.get_type_hints(inner[0], include_extras=True).items()
    else:
        yield name, annotation


def is_plain(annotation: Any, above: tuple[Any, ...] = ()) -> bool:
    """Whether decoded JSON has the annotated type without a conversion."""
    if annotation is Any or any(annotation is one for one in above):
        return True  # the latter: a type that contains itself
    above = (*above, annotation)
    if any(annotation is one for one in (*NOTHING, typing.Self)):
        return False
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return not any(isinstance(value, Enum | bytes) for value in args)
    if typing.is_typeddict(annotation):
        return all(is_plain(field, above) for field in _fields(annotation))
    if isinstance(annotation, type) and origin is None:
        return takes_json(annotation)
    inner = _transparent(annotation)
    if inner is not None:
        return all(is_plain(arg, above) for arg in inner)
    if not isinstance(origin, type):
        return True  # a kind that is not known here
    if _is_mapping(origin) and args and not is_text(args[0]):
        return False
    return takes_json(origin) and all(is_plain(arg, above) for arg in args)


def is_text(annotation: Any) -> bool:
    """Whether the keys of a JSON object have the annotated type."""
    inner = _transparent(annotation)
    if inner is not None:
        return all(is_text(arg) for arg in inner)
    if typing.get_origin(annotation) is typing.Literal:
        return all(type(value) is str for value in typing.get_args(annotation))
    if annotation is None or isinstance(annotation, type):
        return annotation in (str, object, Any)
    return True  # a kind that is not known here


def takes_json(kind: type) -> bool:
    """Whether decoded JSON can be an instance of the class: of `dict`, `Sequence`, ..."""
    if vars(kind).get("_is_protocol", False):
        return any(_has_members(one, kind) for one in JSON)
    try:
        return any(issubclass(one, kind) for one in JSON)
    except Exception:  # noqa: BLE001  # of a metaclass
        return True


def _has_members(kind: type, protocol: type) -> bool:
    # A class without a hash has None in its place.
    has = {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}
    return all(has.get(name) is not None for name in _members(protocol))


def _members(protocol: type) -> set[str]:
    """Returns the names of the methods and attributes that a protocol asks for. Python does
    not tell whether a class has them, if there are attributes or no check at run time."""
    if sys.version_info >= (3, 13):
        return set(typing.get_protocol_members(protocol))

    @typing.runtime_checkable
    class Blank(typing.Protocol):
        is_in_annotations: bool

    own = {*vars(Blank), "__orig_bases__", "__type_params__", "__slots__"}
    found: set[str] = set()
    for base in protocol.__mro__:
        if vars(base).get("_is_protocol", False):
            found |= vars(base).keys() - own | vars(base).get("__annotations__", {}).keys()
    return found


def classes(annotation: Any) -> Iterator[type]:
    """Yields the classes in an annotation, and those of the fields of its dataclasses."""
    for part in parts(annotation):
        for one in (part, typing.get_origin(part)):
            if isinstance(one, type) and one not in (Any, types.UnionType, typing.Annotated):
                yield one


def keys_of_mappings(annotation: Any) -> Iterator[Any]:
    """Yields the annotations of the keys of all mappings in an annotation."""
    for part in parts(annotation):
        if _is_mapping(typing.get_origin(part)) and typing.get_args(part):
            yield from _alternatives(typing.get_args(part)[0])


def holds_anything(annotation: Any) -> bool:
    """Whether a value in an annotation may be of any type, as the items of a bare `list`."""
    return any(
        part is Any or (isinstance(part, type) and part not in _SCALARS and takes_json(part))
        for part in parts(annotation)
    )


def has_abstract(annotation: Any) -> bool:
    """Whether a container in an annotation is abstract, as `Sequence[int]` is: any type that has
    the methods may arrive."""
    return any(kind not in JSON and takes_json(kind) for kind in classes(annotation))


def has_choices(annotation: Any) -> bool:
    """Whether an annotation has a union of more than one type and None."""
    return any(
        len({*typing.get_args(part)} - {type(None)}) > 1
        for part in parts(annotation)
        if typing.get_origin(part) in (typing.Union, types.UnionType)
    )


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yields the members of a union, or the annotation itself."""
    inner = _transparent(annotation)
    if inner is None:
        yield annotation
    else:
        for each in inner:
            yield from _alternatives(each)


def _is_mapping(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, collections.abc.Mapping)


def parts(annotation: Any, above: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yields an annotation, the annotations in it, and those of the fields of its dataclasses."""
    if any(annotation is one for one in above):
        return
    above = (*above, annotation)
    yield annotation
    inner: typing.Iterable[Any] = _transparent(annotation) or typing.get_args(annotation)
    if isinstance(annotation, type):
        inner = _fields(annotation)
    for arg in inner:
        yield from parts(arg, above)


def _transparent(annotation: Any) -> tuple[Any, ...] | None:
    """Returns the annotations for which this one only stands; None if it is not such one."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    if origin in _MARKS:
        return typing.get_args(annotation)[:1]
    if isinstance(annotation, typing.TypeVar):
        return annotation.__constraints__ or (annotation.__bound__ or Any,)
    if origin is not None and hasattr(origin, "__value__"):  # `type X[T] = ...` with arguments
        return (origin.__value__[typing.get_args(annotation)],)
    for attribute in ("__supertype__", "__value__"):  # NewType; `type X = ...` of Python 3.12
        if not isinstance(annotation, type) and hasattr(annotation, attribute):
            return (getattr(annotation, attribute),)
    return None


def _fields(kind: type) -> list[Any]:
    is_record = typing.is_typeddict(kind) or dataclasses.is_dataclass(kind)
    # A named tuple has the first attribute, and a pydantic model the second.
    if not is_record and not any(hasattr(kind, name) for name in ("_fields", "model_fields")):
        return []
    return list(field_types(kind).values())


def field_types(kind: type) -> Mapping[str, Any]:
    """Returns the annotations of a record's fields; none if a name in them is not defined."""
    try:
        found = typing.get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001  # a name that is not defined
        return {}
    if getattr(kind, "__pydantic_generic_metadata__", {}).get("args"):
        # Of a generic model with arguments, pydantic alone knows them.
        about: Mapping[str, Any] = getattr(kind, "__pydantic_fields__", {})
        found.update((name, field.annotation) for name, field in about.items())
    return found
