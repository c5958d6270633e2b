"""Tasks that are declared without their code, for producers that do not have it.

Why: docs/decisions/0092-a-producer-without-the-code-declares-a-signature.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NoReturn

from .functions import check_function
from .options import TaskOptions, Terms


def function_of(name: str, signature: object, module: str) -> Callable[..., Any]:
    """Returns the function whose parameters the calls of a declared task must fit.

    Args:
        signature: a function, an `inspect.Signature`, or None: every call fits.
        module: the module that declares the task.

    Raises:
        TypeError: it is something else.
    """
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
