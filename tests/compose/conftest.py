"""Tests of the stack of compose.yaml, which scripts/compose-test has started.

A plain run of pytest leaves them out: they take minutes and need Docker.
"""

from __future__ import annotations

import os

import pytest
from support.stack import Stack

if "FLUXQUEUE_COMPOSE_TEST" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def running_stack() -> Stack:
    return Stack()


@pytest.fixture
def stack(running_stack: Stack) -> Stack:
    """The stack with two workers, healthy, whatever the last test has left."""
    running_stack.up()
    return running_stack
