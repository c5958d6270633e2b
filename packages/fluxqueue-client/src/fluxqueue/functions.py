"""The check that a worker can run a function as a task."""

from __future__ import annotations

import functools
import inspect
from typing import Any


def check_function(func: Any, decorator: str) -> None:
    """Refuses an object that a worker could not run as a task.

    Args:
        decorator: the decorator's name, for the message.

    Raises:
        TypeError: says what the object is, and what to decorate instead.
    """
    remedy = _remedy(func, decorator)
    if remedy is not None:
        name = getattr(func, "__qualname__", None) or type(func).__name__
        raise TypeError(f"@{decorator}() can't decorate {name}: {remedy}")


def _remedy(func: Any, decorator: str) -> str | None:
    if hasattr(func, "task_name"):
        return "it is a task already; decorate its undecorated function, `.func`"
    if isinstance(func, type):
        return "it is a class; decorate a function that makes the object and calls it"
    if isinstance(func, functools.partial | functools.partialmethod):
        return "it is a functools.partial; write a `def` that calls it, and decorate that"
    if isinstance(func, staticmethod):
        return f"it is a staticmethod; put @staticmethod above @{decorator}()"
    if isinstance(func, classmethod) or inspect.ismethod(func):
        return "it is a method; decorate a plain function that gets the object's id"
    if not inspect.isfunction(func):
        return "it is not a function; write a `def` or `async def` that calls it"
    if inspect.isgeneratorfunction(func):
        return "it is a generator; a task returns once, so collect in it what it yields"
    if inspect.isasyncgenfunction(func):
        return "it is an async generator; a task returns once, so collect in it what it yields"
    return None
