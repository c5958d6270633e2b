from __future__ import annotations

import pytest
from support.telemetry import Recorded


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """An SDK that samples everything."""
    recorded = Recorded()
    recorded.install(monkeypatch)
    return recorded
