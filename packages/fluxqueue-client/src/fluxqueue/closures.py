"""The variables that a function has from the functions around it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def closure(func: Callable[..., Any]) -> dict[str, Any]:
    """Returns the values by name. Leaves out variables that are not assigned yet, such as the
    name of a local function that calls itself; `inspect.getclosurevars` fails for these."""
    found: dict[str, Any] = {}
    if inspect.isfunction(func):
        for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
            with suppress(ValueError):
                found[name] = cell.cell_contents
    return found
