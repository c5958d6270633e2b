"""Calls with a deadline: the exception meets the function, and nothing else."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue_core import Deadlines
from fluxqueue_core.errors import ConfigurationError, TaskTimeout

PATIENCE = 30.0


class Watched:
    """Deadlines with the thread that watches them, and what it reported."""

    def __init__(self, grace: float) -> None:
        self.deadlines = Deadlines(grace)
        self.reported: list[tuple[int, Any, bool]] = []
        self._changed = threading.Condition()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while (found := self.deadlines.wait()) is not None:
            with self._changed:
                self.reported += found
                self._changed.notify_all()

    def wait_for(self, *wanted: tuple[int, Any, bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(wanted) <= set(self.reported), PATIENCE), (
                self.reported
            )

    def stop(self) -> None:
        self.deadlines.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched(grace=0.05)
    yield watched
    watched.stop()


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def spin_and_swallow(seconds: float) -> None:
    with contextlib.suppress(TaskTimeout):
        spin(seconds)


# After the last one no bytecode of the function follows: an exception that comes
# while it sleeps is still pending when it returns.
FUNCS = (spin, spin_and_swallow, time.sleep)


def test_a_call_in_time_is_a_call(watched: Watched) -> None:
    call = watched.deadlines.guard(lambda a, *, b: (a, b), 60)
    assert call(1, b=2) == (1, 2)
    with pytest.raises(KeyError, match="mine"):
        watched.deadlines.guard({}.__getitem__, 60)("mine")
    assert watched.reported == []


@pytest.mark.parametrize("func", [spin, spin_and_swallow])
def test_a_late_call_is_interrupted_where_it_is(
    watched: Watched, func: Callable[[float], None]
) -> None:
    with pytest.raises(TaskTimeout, match=r"^the task ran for longer than its timeout of 0\.02 s$"):
        watched.deadlines.guard(func, 0.02)(PATIENCE)


def test_its_traceback_is_the_functions(watched: Watched) -> None:
    with pytest.raises(TaskTimeout) as raised:
        watched.deadlines.guard(spin, 0.02)(PATIENCE)
    names = [frame.name for frame in traceback.extract_tb(raised.tb)]
    assert names[1:] == ["spin"]


def test_the_exception_that_it_raised_instead_is_the_context(watched: Watched) -> None:
    def fail() -> None:
        try:
            spin(PATIENCE)
        finally:
            raise KeyError("clean up")

    with pytest.raises(TaskTimeout) as raised:
        watched.deadlines.guard(fail, 0.02)()
    assert repr(raised.value.__context__) == "KeyError('clean up')"


def test_a_call_that_no_bytecode_ends_is_reported_and_late(watched: Watched) -> None:
    released = threading.Event()
    started: list[int] = []
    raised: list[BaseException] = []

    def block() -> None:
        started.append(threading.get_ident())
        released.wait()

    def run() -> None:
        try:
            watched.deadlines.guard(block, 0.02)()
        except BaseException as error:  # noqa: BLE001 - any is of interest
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    watched.wait_for((1, thread.ident, True))
    assert watched.deadlines.runs(1)
    released.set()
    thread.join(PATIENCE)
    assert [type(error) for error in raised] == [TaskTimeout]
    assert not watched.deadlines.runs(1)


def test_an_added_attempt_is_reported_at_its_deadline_and_when_it_is_stuck(
    watched: Watched,
) -> None:
    late = watched.deadlines.add("late", 0.02)
    early = watched.deadlines.add("early", 60)
    watched.wait_for((late, "late", False), (late, "late", True))
    assert not watched.deadlines.remove(early)
    assert watched.deadlines.remove(late)
    assert not watched.deadlines.remove(late)
    assert len(watched.reported) == 2


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e18])
def test_an_invalid_timeout_is_refused(watched: Watched, seconds: float) -> None:
    with pytest.raises(ConfigurationError):
        watched.deadlines.guard(print, seconds)


@pytest.mark.parametrize("threads", [1, 8])
def test_calls_that_end_about_at_their_deadline(watched: Watched, threads: int) -> None:
    """The exception and the end of the call race thousands of times: whichever wins, the
    caller's own code never meets the exception."""
    timeout = 0.0005
    calls = 4000 // threads
    funcs = [watched.deadlines.guard(func, timeout) for func in FUNCS]
    ends: list[str] = []
    strays: list[BaseException] = []

    def run(number: int) -> None:
        try:
            for call in range(calls):
                # From nothing to a third more than it may take.
                duration = timeout * ((call * 7 + number) % 20) / 14
                try:
                    funcs[call % 3](duration)
                    end = "in time"
                except TaskTimeout:
                    end = "late"
                # Bytecodes of the caller's own, where a stray exception would be raised.
                for _ in range(100):
                    str(call)
                ends.append(end)
        except BaseException as stray:  # noqa: BLE001 - any is one too many
            strays.append(stray)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(PATIENCE)
    assert strays == []
    assert len(ends) == threads * calls
    # Both happened; otherwise the race was not tested.
    assert {"in time", "late"} == set(ends)


FIRST_IN_A_PROCESS = """
import builtins, threading, time
from fluxqueue_core import Deadlines
from fluxqueue_core.errors import TaskTimeout

found = builtins.__import__

def found_slowly(name, *arguments, **keywords):
    if name.startswith("fluxqueue_core"):
        time.sleep(0.2)
    return found(name, *arguments, **keywords)

# An import releases the GIL. This one does so for long enough.
builtins.__import__ = found_slowly
deadlines = Deadlines(5.0)
in_time, ended = deadlines.guard(lambda: None, 60.0), False

def others():
    while not ended:
        in_time()

def spin():
    while True:
        pass

# Daemons, because the interpreter waits for all other threads at its end, and these
# may hang.
threads = [threading.Thread(target=target, daemon=True) for target in (deadlines.wait, others)]
for thread in threads:
    thread.start()
try:
    deadlines.guard(spin, 0.5)()
except TaskTimeout:
    print("interrupted")
ended = True
deadlines.stop()
for thread in threads:
    thread.join()
"""


def test_the_first_interruption_of_a_process_lets_calls_of_others_begin() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FIRST_IN_A_PROCESS],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert ran.stdout == "interrupted\n"
