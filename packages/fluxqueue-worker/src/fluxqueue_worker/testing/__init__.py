"""Tests of applications: the tasks run in the test itself, or in a real worker in its process.

Nothing here is imported by an application or a worker. See docs/testing.md.
"""

from __future__ import annotations

from fluxqueue import FluxQueue

from .call import Call
from .modes import CapturedMode, InlineMode, SimulatedMode
from .worker_mode import WorkerMode

__all__ = [
    "Call",
    "CapturedMode",
    "InlineMode",
    "SimulatedMode",
    "WorkerMode",
    "captured",
    "inline",
    "worker",
]


def inline(*objects: FluxQueue, raise_errors: bool = True) -> InlineMode:
    """Runs each call at once, within `with inline() as tasks:`.

    Args:
        objects: the `FluxQueue` objects whose calls it takes; none: all of the process.
        raise_errors: whether a call raises the error of its task.
    """
    return InlineMode(*objects, raise_errors=raise_errors)


def captured(*objects: FluxQueue, raise_errors: bool = True) -> CapturedMode:
    """Captures the calls, within `with captured() as tasks:`. The arguments are those of `inline`;
    `drain` raises the errors."""
    return CapturedMode(*objects, raise_errors=raise_errors)


def worker(*objects: FluxQueue, redis_url: str | None = None, concurrency: int = 4) -> WorkerMode:
    """Runs a real worker in this process, within `with worker() as tasks:`. The arguments are
    those of `WorkerMode`."""
    return WorkerMode(*objects, redis_url=redis_url, concurrency=concurrency)
