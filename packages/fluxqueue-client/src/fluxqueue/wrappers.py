"""The parameters that a decorated function takes from its callers.

`functools.wraps` makes `inspect.signature` report the parameters of the wrapped function.
A wrapper that passes an argument itself takes fewer. So this module believes the wrapper,
except if its code shows that it passes on its own arguments and nothing else.

Why: docs/decisions/0063-a-wrapper-is-believed.md
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable
from typing import Any

from .closures import closure
from .signatures import signature_of

_GENERIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
# Instructions that no pattern below needs; which of them there are depends on the version.
_IGNORED = {"CACHE", "COPY_FREE_VARS", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "RESUME"}
_NAMES = {"__doc__", "__module__", "__name__", "__qualname__"}


def call_signature(func: Callable[..., Any]) -> inspect.Signature:
    """Returns the signature that calls of `func` must fit.

    A wrapper whose parameters are `*args, **kwargs` accepts every call, unless it passes
    them on unchanged: then calls must fit the function that it wraps. `__signature__`, if a
    decorator sets it, is believed first.
    """
    while not hasattr(func, "__signature__") and passes_on(func):
        func = func.__wrapped__  # type: ignore[attr-defined]
    return signature_of(func, follow_wrapped=False)


def passes_on(wrapper: Callable[..., Any]) -> bool:
    """Whether a wrapper only calls the wrapped function with its own arguments, unchanged.

    That is: it is `def wrapper(*args, **kwargs)`, calls `function(*args, **kwargs)`, and
    uses `kwargs` for nothing else and `function` for nothing but its name. False if the
    code does not show it.
    """
    wrapped = getattr(wrapper, "__wrapped__", None)
    if wrapped is None or not inspect.isfunction(wrapper):
        return False
    code = wrapper.__code__
    if code.co_argcount or code.co_kwonlyargcount or code.co_flags & _GENERIC != _GENERIC:
        return False
    args, kwargs = code.co_varnames[:2]
    free = closure(wrapper)
    function = next((name for name, value in free.items() if value is wrapped), None)
    if function is None or args in code.co_cellvars or kwargs in code.co_cellvars:
        return False
    call = [
        ("LOAD_DEREF", function),
        ("LOAD_FAST", args),
        ("BUILD_MAP", 0),
        ("LOAD_FAST", kwargs),
        ("DICT_MERGE", 1),
        ("CALL_FUNCTION_EX", 1),
    ]
    steps = [_step(each) for each in dis.get_instructions(code) if each.opname not in _IGNORED]
    calls = 0
    at = 0
    while at < len(steps):
        name, value = steps[at]
        if steps[at : at + len(call)] == call:
            calls += 1
            at += len(call)
            continue
        reads_name = steps[at + 1 : at + 2] and steps[at + 1][1] in _NAMES
        names = value if isinstance(value, tuple) else (value,)
        if (
            kwargs in names
            or (function in names and not (name == "LOAD_DEREF" and reads_name))
            or (args in names and name.startswith(("STORE", "DELETE")))
        ):
            return False
        at += 1
    return calls > 0


def _step(instruction: dis.Instruction) -> tuple[str, Any]:
    """An instruction as CPython 3.13 has it."""
    if instruction.opname == "LOAD_FAST_BORROW":
        return "LOAD_FAST", instruction.argval
    if instruction.opname == "CALL_FUNCTION_EX" and instruction.argval is None:
        return "CALL_FUNCTION_EX", 1
    return instruction.opname, instruction.argval
