"""The forms of functions that make a value: plain ones, generators and context managers."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .dependencies import inner_function, name_of
from .wrappers import passes_on


class DependencyForm(Enum):
    """The kind of object that a call of the function gives."""

    VALUE = "the value"
    GENERATOR = "a generator that yields the value"
    MANAGER = "a context manager"


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """A function that makes a value.

    Attributes:
        name: the function's, for messages.
        key: says which providers are the same one; hashable.
        call: makes the value, the generator or the context manager.
        shared: the values that the call takes, by parameter, of a shared value. They are shared
            too. Those of other providers are in the plan.
    """

    name: str
    key: Any
    call: Callable[..., Any]
    form: DependencyForm
    is_async: bool
    shared: Mapping[str, Provider] = field(default_factory=dict)


# All functions that `contextlib` has decorated have one of these codes.
_DECORATORS: tuple[Any, ...] = (contextlib.contextmanager, contextlib.asynccontextmanager)
_MANAGER, _ASYNC_MANAGER = (decorator(print).__code__ for decorator in _DECORATORS)


def key_of(function: Callable[..., Any]) -> Any:
    """Returns the function, or a stand-in if it has no hash: an object with `__call__`."""
    try:
        hash(function)
    except TypeError:
        return id(function)
    return function


def provider(
    function: Callable[..., Any], in_async: bool, shared: Mapping[str, Provider] | None = None
) -> Provider:
    """Returns the provider of a function.

    Args:
        in_async: whether an async context manager may enter, if a class has both kinds.
    """
    called: Any = function
    while isinstance(called, functools.partial):
        called = called.func
    form, is_async = _form_of(called, in_async)
    call: Any = function
    if (
        form is DependencyForm.MANAGER
        and called is function
        and _code(called) in (_MANAGER, _ASYNC_MANAGER)
    ):
        # Its generator needs no frames of `contextlib` in tracebacks.
        form, call = DependencyForm.GENERATOR, call.__wrapped__
    return Provider(name_of(function), key_of(function), call, form, is_async, shared or {})


def _form_of(called: Any, in_async: bool) -> tuple[DependencyForm, bool]:
    if isinstance(called, type):
        is_async = _has(called, "__aenter__", "__aexit__")
        is_sync = _has(called, "__enter__", "__exit__")
        if is_async and (in_async or not is_sync):
            return DependencyForm.MANAGER, True
        return (DependencyForm.MANAGER if is_sync else DependencyForm.VALUE), False
    # The mark of an object with an async `__call__`; Python 3.11 has only asyncio's.
    if inspect.iscoroutinefunction(called) or getattr(called, "_is_coroutine", None) is not None:
        return DependencyForm.VALUE, True
    inner = inner_function(called)
    while passes_on(inner):
        inner = inner.__wrapped__
    if _code(inner) in (_MANAGER, _ASYNC_MANAGER):
        return DependencyForm.MANAGER, _code(inner) is _ASYNC_MANAGER
    if inspect.isgeneratorfunction(inner):
        return DependencyForm.GENERATOR, False
    if inspect.isasyncgenfunction(inner):
        return DependencyForm.GENERATOR, True
    return DependencyForm.VALUE, inspect.iscoroutinefunction(inner)


def _has(kind: type, *names: str) -> bool:
    return all(hasattr(kind, name) for name in names)


def _code(function: Any) -> object:
    return getattr(function, "__code__", None)
