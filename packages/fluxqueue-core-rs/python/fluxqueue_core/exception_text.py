"""The class and the text of any exception, however odd its class is.

An exception's class may define `__class__`, `__module__`, `__str__` or `__getattribute__`,
and what it defines may raise. The functions here read what CPython itself has stored, and
catch what `__str__` raises. `traceback_of`, `members_of` and `is_a` serve for the same reason
in place of attributes and of `isinstance`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeGuard, TypeVar

T = TypeVar("T")

# Characters of a class's name that are kept.
NAME_LENGTH = 500

_module: Callable[[type], object] = type.__dict__["__module__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__

traceback_of: Callable[[BaseException], TracebackType | None]
traceback_of = BaseException.__dict__["__traceback__"].__get__

# Takes an exception group.
members_of: Callable[[BaseException], Sequence[BaseException]]
members_of = BaseExceptionGroup.__dict__["exceptions"].__get__


def is_a(value: object, kind: type[T]) -> TypeGuard[T]:
    """`isinstance` without a look at `value.__class__`, which may raise."""
    return issubclass(type(value), kind)


def plain(text: str, most: int) -> str:
    """Returns up to `most` characters of the text as an exact `str`. Lone surrogates, which
    UTF-8 can't carry, are written as escapes.

    A subclass of `str` may format itself in another way, or raise.
    """
    cut = str.__getitem__(text, slice(most))
    return cut if cut.isascii() else cut.encode("utf-8", "backslashreplace").decode()


def class_of(value: object) -> tuple[str, str]:
    """Returns the module and the qualified name of the value's class. The module is empty if
    the class stores something else there."""
    kind = type(value)
    try:
        module = _module(kind)
    except AttributeError:
        module = ""
    name = plain(_qualname(kind), NAME_LENGTH)
    return (plain(module, NAME_LENGTH) if is_a(module, str) else ""), name


def text_of(error: BaseException, most: int) -> str:
    """Returns up to `most` characters of the exception's text, even if its `__str__`
    raises."""
    try:
        return plain(str(error), most)
    except BaseException:  # noqa: BLE001 - a broken __str__ must not hide the error
        return "<its text can't be printed>"
