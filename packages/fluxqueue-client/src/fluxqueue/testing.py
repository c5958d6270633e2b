"""Tests of applications that use FluxQueue: see docs/testing.md.

The code is in the package of the worker, whose parts run the tasks.
"""

from __future__ import annotations

try:
    from fluxqueue_worker.testing import *  # noqa: F403
    from fluxqueue_worker.testing import __all__ as __all__
except ModuleNotFoundError as error:
    if error.name != "fluxqueue_worker":
        raise
    raise ModuleNotFoundError(
        "fluxqueue.testing runs tasks as a worker does: install fluxqueue-worker",
        name=error.name,
    ) from None
