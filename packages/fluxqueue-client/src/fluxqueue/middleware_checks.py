"""Checks middleware when it is declared, and finds the methods that it defines."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from .middleware import Middleware
from .option_checks import kind_of

_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "attempt": (inspect.isgeneratorfunction, "def"),
    "attempt_async": (inspect.isasyncgenfunction, "async def"),
    "enqueue": (inspect.isgeneratorfunction, "def"),
    "enqueue_async": (inspect.isasyncgenfunction, "async def"),
}


# A method of a middleware: the name of the middleware for messages, the function that returns
# the generator around one attempt or call, and whether that is an async generator.
MiddlewareMethod: TypeAlias = tuple[str, Callable[[Any], Any], bool]


def check_middleware(name: str, value: Any) -> None:
    """Refuses what is not a list of middleware.

    Raises:
        TypeError: says what to write instead.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a list of middleware, not {kind_of(value)}")
    for each in value:
        if isinstance(each, type) and issubclass(each, Middleware):
            raise TypeError(
                f"{name} must have instances; write {each.__name__}() in place of {each.__name__}"
            )
        if not isinstance(each, Middleware):
            raise TypeError(
                f"{name} must have instances of fluxqueue.Middleware, not {kind_of(each)}; make "
                f"your class a subclass of it"
            )
        for method in _KINDS:
            if _defines(each, method):
                _check_method(each, method)


def steps(
    middleware: Sequence[Middleware], method: str, *, on_loop: bool
) -> list[MiddlewareMethod]:
    """Returns the methods that middleware defines, the outermost first.

    Args:
        method: `"attempt"` or `"enqueue"`.
        on_loop: whether an event loop runs them, so that an async method comes first.
    """
    names = (f"{method}_async", method) if on_loop else (method,)
    return [
        (f"middleware {type(each).__name__}", getattr(each, found), found.endswith("_async"))
        for each in middleware
        if (found := next((name for name in names if _defines(each, name)), None)) is not None
    ]


def wraps_calls(middleware: Sequence[Middleware]) -> bool:
    """Whether one of them has a method around an enqueue."""
    return any(_defines(each, name) for each in middleware for name in ("enqueue", "enqueue_async"))


def _defines(middleware: Middleware, method: str) -> bool:
    return getattr(type(middleware), method) is not getattr(Middleware, method)


def _check_method(middleware: Middleware, method: str) -> None:
    is_right, keyword = _KINDS[method]
    function = getattr(middleware, method)
    if not is_right(function):
        raise TypeError(
            f"{type(middleware).__name__}.{method} must be a generator function: write "
            f"`{keyword} {method}(self, ...)` with one `yield`"
        )
