"""Event loops of both kinds, for tests that run a coroutine in each."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


def run(new_loop: NewLoop, main: Coroutine[Any, Any, Any], debug: bool = False) -> Any:
    """Runs `main` in a separate loop, and checks that the loop reports no error."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=new_loop, debug=debug) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = runner.run(main)
        gc.collect()
    assert complaints == []
    return result
