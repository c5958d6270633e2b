"""The modules that a child process must import to have the same tasks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from fluxqueue.task import AnyTask


def modules_of(tasks: Iterable[AnyTask]) -> tuple[str, ...]:
    """Returns the names of the modules of the tasks' functions, sorted. A script is named as a
    module, which imports it without running what is under `__main__`."""
    return tuple(sorted({_name(task.func.__module__) for task in tasks}))


def _name(module: str) -> str:
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m
        return str(spec.name)
    return os.path.basename(getattr(main, "__file__", module)).removesuffix(".py")
