"""The previous version, for all tests of a rolling upgrade."""

from __future__ import annotations

import os

import pytest
from support.previous_version import NoHistory, previous_version
from support.virtual_environment import VirtualEnvironment


@pytest.fixture(scope="session")
def previous() -> VirtualEnvironment:
    """The environment with the packages of the previous minor version."""
    try:
        return previous_version()
    except NoHistory as error:
        if os.environ.get("CI") == "true":
            raise  # a skipped test would go unnoticed there
        pytest.skip(str(error))
