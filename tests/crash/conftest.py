"""Fixtures of the tests that kill, stop and cut."""

from __future__ import annotations

import os
import random

import pytest


@pytest.fixture
def chance() -> random.Random:
    """The test's randomness. The seed is printed, and shown where a test fails;
    FLUXQUEUE_TEST_SEED sets it."""
    seed = int(os.environ.get("FLUXQUEUE_TEST_SEED") or int.from_bytes(os.urandom(4)))
    print(f"FLUXQUEUE_TEST_SEED={seed}")
    return random.Random(seed)
