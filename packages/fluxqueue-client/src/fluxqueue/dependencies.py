"""`Depends` and `Shared`: they mark the parameters of a task that the worker fills in.

Why: docs/decisions/0220-a-dependency-is-a-hidden-parameter.md
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any


class Dependency:
    """The mark of one parameter.

    Attributes:
        function: makes the value. None: the annotated class does, as of FastAPI's `Depends()`.
        use_cache: whether the attempt calls it once for all parameters that it is for.
        is_shared: whether the value belongs to the process, not to the attempt.
    """

    __slots__ = ("function", "is_shared", "use_cache")

    def __init__(
        self,
        function: Callable[..., Any] | None,
        use_cache: bool = True,
        is_shared: bool = False,
    ) -> None:
        self.function = function
        self.use_cache = use_cache
        self.is_shared = is_shared

    def __repr__(self) -> str:
        name = "" if self.function is None else name_of(self.function)
        return f"{'Shared' if self.is_shared else 'Depends'}({name})"


# A function, and not a class: its result stands for a value of any type.
def Depends(function: Callable[..., Any], *, use_cache: bool = True) -> Any:
    """Marks a parameter whose value the worker makes for each attempt: as the default
    (`session: Session = Depends(make)`) or as `Annotated[Session, Depends(make)]`.

    Args:
        function: makes the value: a `def` or an `async def`, a generator function whose code
            after `yield` runs after the task, or a class of a context manager.
        use_cache: False: the function is called for this parameter alone.

    Raises:
        TypeError: the argument is not a function or a class.
    """
    return Dependency(_checked(function, "Depends"), use_cache)


def Shared(function: Callable[..., Any]) -> Any:
    """Marks a parameter whose value all attempts of a process share (of an event loop, if the
    function is async). The worker makes it when it is used first, and ends it after its drain.

    Args:
        function: as for `Depends`; or a `FluxQueue.lifespan`, for what it yields.

    Raises:
        TypeError: the argument is not a function or a class.
    """
    return Dependency(_checked(function, "Shared"), is_shared=True)


def _checked(function: Any, mark: str) -> Callable[..., Any]:
    if isinstance(getattr(function, "task_name", None), str):
        raise TypeError(f"{mark}() can't take a task; give it the undecorated function, `.func`")
    if not callable(function):
        raise TypeError(
            f"{mark}() takes a function or a class that makes the value, not "
            f"{type(function).__name__}; write {mark}(make), without calling make"
        )
    checked: Callable[..., Any] = function
    return checked


def is_of_fastapi(value: object, *names: str) -> bool:
    """Whether a mark is of one of these classes of `fastapi.params`, which need not be
    installed. Without names: of any of them."""
    return any(
        base.__module__ == "fastapi.params" and (not names or base.__name__ in names)
        for base in type(value).__mro__
    )


def mark_of(value: object) -> Dependency | None:
    """Returns the mark that a default, or an argument of `Annotated`, is; None for other values.

    Raises:
        TypeError: it is a mark of FastAPI with an option that tasks do not have.
    """
    if isinstance(value, Dependency):
        return value
    if not is_of_fastapi(value, "Depends"):
        return None
    mark: Any = value
    if is_of_fastapi(value, "Security"):
        raise TypeError("Security() needs a request, which a task does not have; use Depends()")
    if getattr(mark, "max_concurrency", None) is not None:
        raise TypeError(
            "Depends(max_concurrency=...) is of FastAPI only; limit the task itself by its option "
            "concurrency"
        )
    return Dependency(mark.dependency, mark.use_cache)


def mark_in(annotation: Any, default: object) -> Dependency | None:
    """Returns the mark of a parameter, of its default or in its annotation; None if it has none.

    Raises:
        TypeError: it has several, or one in a part of its annotation.
    """
    while not isinstance(annotation, type) and hasattr(annotation, "__value__"):
        annotation = annotation.__value__  # `type Database = Annotated[...]` of Python 3.12
    if (misplaced := mark_of(annotation)) is not None:
        raise TypeError(
            f"{misplaced!r} stands in the place of a type; write it as the default, or as "
            f"Annotated[type, {misplaced!r}]"
        )
    marks = [mark_of(default)]
    if typing.get_origin(annotation) is typing.Annotated:
        marks += map(mark_of, annotation.__metadata__)
        annotation = annotation.__origin__
    found = [mark for mark in marks if mark is not None]
    if len(found) > 1:
        raise TypeError(f"{' and '.join(map(repr, found))} mark one parameter; leave one")
    for inner in typing.get_args(annotation):
        if typing.get_origin(inner) is typing.Annotated and mark_in(inner, None) is not None:
            raise TypeError(
                f"{mark_in(inner, None)!r} marks a part of the annotation; put Annotated[...] "
                f"around all of it"
            )
    if not found:
        return None
    (mark,) = found
    if mark.function is not None:
        return mark
    if not callable(annotation):
        raise TypeError("Depends() without a function needs a class as its annotation")
    return Dependency(annotation, mark.use_cache)


def name_of(function: Any) -> str:
    """The name of a function, class or callable object in messages."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def inner_function(function: Any) -> Any:
    """Returns what runs if an object is called: its `__call__`, of a partial what it calls, of a
    class its `__init__`."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        return function.__init__  # type: ignore[misc]
    if inspect.ismethod(function):
        return function.__func__
    return function if inspect.isroutine(function) else type(function).__call__
