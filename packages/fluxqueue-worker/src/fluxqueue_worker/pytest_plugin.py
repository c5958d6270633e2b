"""The fixtures of docs/testing.md for pytest, which loads this module in each of its runs.

So it imports nothing of FluxQueue before a test uses a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fluxqueue.testing import CapturedMode, InlineMode, WorkerMode


@pytest.fixture
def fluxqueue_inline() -> Iterator[InlineMode]:
    """Runs each call of a task at once, in the test: see `fluxqueue.testing.inline`."""
    from fluxqueue.testing import inline

    with inline() as tasks:
        yield tasks


@pytest.fixture
def fluxqueue_captured() -> Iterator[CapturedMode]:
    """Captures the calls of tasks, for `drain`: see `fluxqueue.testing.captured`."""
    from fluxqueue.testing import captured

    with captured() as tasks:
        yield tasks


@pytest.fixture
def fluxqueue_worker() -> Iterator[WorkerMode]:
    """Runs a real worker in this process, with a Redis: see `fluxqueue.testing.worker`."""
    from fluxqueue.testing import worker

    with worker() as tasks:
        yield tasks
