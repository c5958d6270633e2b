"""Pages of the dashboard that look as long as they must, on a machine as slow as it may be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from fluxqueue_dashboard import patience

_LIMITS = ("PAGE", "SEARCH", "DEEP_SEARCH", "LAST_QUEUE", "GROUPS")


@contextlib.contextmanager
def patient_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for limit in _LIMITS:
            patch.setattr(patience, limit, 60.0)
        yield
