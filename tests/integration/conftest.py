"""Fixtures of the tests of the Lua scripts."""

from __future__ import annotations

from typing import Any

import pytest
from support.scripts import Scripts


@pytest.fixture
def scripts(redis: Any) -> Scripts:
    """The scripts of one queue in the test's own database."""
    return Scripts(redis)
