"""The class of a task: plain, unique or limited, or with arguments that are converted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .options import Terms
from .parameter_types import read_types
from .task import AnyTask, AsyncTask, Task

if TYPE_CHECKING:
    from .context import Context


def context_of_task(
    called: str, func: Callable[..., Any], local_names: Mapping[str, Any]
) -> type[Context] | None:
    """Returns the class of a task's context; None for a task without one.

    Args:
        called: the name of the decorator.
        local_names: the names visible to it.

    Raises:
        TypeError: the first parameter of `func` is not a context.
    """
    if called == "task":
        return None
    from .context import context_class

    return context_class(func, local_names)


def kind_of_task(func: Callable[..., Any], terms: Terms) -> type[AnyTask]:
    """Returns the class of the task that a function becomes."""
    is_async = inspect.iscoroutinefunction(func)
    if not terms.needs_view:
        return AsyncTask if is_async else Task
    from .keyed_task import KeyedAsyncTask, KeyedTask

    return KeyedAsyncTask if is_async else KeyedTask


def with_types(task: AnyTask, local_names: Mapping[str, Any]) -> None:
    """Makes a task convert its arguments, if its annotations ask for it.

    Raises:
        TypeError: an annotation can't be converted.
    """
    task.returned.know(local_names)
    if task.terms.result_ttl is not None:
        task.returned.check()
    types = read_types(task.func, task.__signature__, local_names)
    if types.conversion is None and not types.unresolved:
        return
    from .typed_task import TypedCalls

    task.__class__ = task.typed_class
    assert isinstance(task, TypedCalls)
    task.types = types
    task.local_names = dict(local_names) if types.unresolved else None
