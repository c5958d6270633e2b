"""Checks of declarations, and tasks that are declared without their code, for producers that do
not have it.

Why: docs/decisions/0092-a-producer-without-the-code-declares-a-signature.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import ConfigurationError
from .functions import check_function
from .options import TaskOptions, Terms

if TYPE_CHECKING:
    from .task import AnyTask


def function_of(name: object, signature: object, module: str) -> Callable[..., Any]:
    """Returns the function whose parameters the calls of a declared task must fit.

    Args:
        signature: a function, an `inspect.Signature`, or None: every call fits.
        module: the module that declares the task.

    Raises:
        TypeError: one of them is something else.
    """
    if not isinstance(name, str):
        raise TypeError(f"the task's name must be a str, not {type(name).__name__}")
    if signature is not None and not isinstance(signature, inspect.Signature):
        if isinstance(signature, str):
            raise TypeError(
                "the signature must be a function or an inspect.Signature, not a str; write "
                "`def f(to: str) -> None: ...` and pass f"
            )
        check_function(signature, "declare")
        assert callable(signature)
        return signature

    def function(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"this process has declared {name!r} without its code")

    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    if signature is not None:
        function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def check_sent(options: Mapping[str, Any]) -> None:
    """Refuses the options that only the code of a task decides.

    Raises:
        TypeError: there is one that no caller needs.
    """
    sent = {
        each.name for each in fields(Terms) if each.metadata["sent"] or each.metadata["of_caller"]
    }
    for name in options:
        if name in TaskOptions.__optional_keys__ and name not in sent:
            raise TypeError(
                f"declare() has no option {name!r}: the worker's code decides it; callers give "
                f"{', '.join(sorted(sent))}"
            )


def check_task_and_queue(name: object, queue: object, decorator: str) -> None:
    """Refuses a name of a task or a queue that is not text.

    Raises:
        TypeError: one of them is something else.
    """
    if callable(name):
        raise TypeError(f"write @fluxqueue.{decorator}() with parentheses")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"the task's name must be a str, not {type(name).__name__}")
    if not isinstance(queue, str):
        raise TypeError(f"the queue must be a str, not {type(queue).__name__}")


def check_free(task: AnyTask, earlier: AnyTask | None) -> None:
    """Refuses a name that another function has in the queue.

    Args:
        earlier: the task that has the name; None if there is none.

    Raises:
        ConfigurationError: it is the task of another function.
    """
    if earlier is not None and not same_def(earlier.func, task.func):
        raise ConfigurationError(
            f"queue {task.queue!r} has a task {task.task_name!r} already, "
            f"{qualified_name(earlier.func)}, and {qualified_name(task.func)} can't have the same "
            f"name; give one of them another name=... or queue=..."
        )


def same_def(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether both functions are from one `def`, because a module was loaded twice.

    The same file is enough: it may run as `__main__`, and be imported under its name too.
    """
    one, other = inspect.unwrap(one), inspect.unwrap(other)
    if one.__qualname__ != other.__qualname__:
        return False
    return one.__module__ == other.__module__ or (
        one.__code__.co_filename == other.__code__.co_filename
    )


def qualified_name(func: Callable[..., Any]) -> str:
    """The name of a function with its module, for messages."""
    func = inspect.unwrap(func)
    return f"{func.__module__}.{func.__qualname__}()"
