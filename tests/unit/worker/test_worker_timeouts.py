"""The thread that watches for timeouts, without a worker."""

from __future__ import annotations

import threading
from typing import Any, cast

from fluxqueue_worker.timeouts import Timeouts


def watching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fluxqueue-timeouts"]


def make(crashes: list[BaseException]) -> Timeouts:
    nobody = cast(Any, None)
    return Timeouts(nobody, nobody, 5.0, False, lambda: None, crashes.append)


def test_a_thread_that_is_stopped_has_ended_before_the_interpreter_does() -> None:
    """One that came back from Rust later would abort the process."""
    crashes: list[BaseException] = []
    timeouts = make(crashes)
    assert timeouts.guard(lambda: 7, 60.0)() == 7
    assert len(watching()) == 1
    assert not timeouts.join(0.01)
    timeouts.stop()
    assert timeouts.join(30.0)
    assert watching() == []
    assert crashes == []


def test_where_nothing_has_a_timeout_there_is_no_thread_to_wait_for() -> None:
    timeouts = make([])
    timeouts.stop()
    assert timeouts.join(0.0)
    assert watching() == []
