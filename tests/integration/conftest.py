"""Fixtures that several kinds of integration tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue import FluxQueue
from support.scripts import Scripts


@pytest.fixture
def scripts(redis: Any) -> Scripts:
    """The scripts of one queue in the test's own database."""
    return Scripts(redis)


@pytest.fixture
def client(redis_url: str) -> Iterator[FluxQueue]:
    """A client of the test's own database."""
    client = FluxQueue(redis_url)
    yield client
    client.close()
