"""Builds of Python without the GIL: it does not come back, and threads share what they may."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import CancellableCall, Deadlines, cancel_call
from fluxqueue_core.errors import CancelRequested, TaskTimeout

without_gil = pytest.mark.skipif(
    getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this interpreter has a GIL"
)

IMPORTS = """
import sys
import fluxqueue, fluxqueue_core, fluxqueue_worker
import fluxqueue_worker.eventloop, fluxqueue_worker.worker
import fluxqueue.converters, fluxqueue_control
assert not sys._is_gil_enabled(), "before uvloop"
fluxqueue_worker.eventloop.new_event_loop().close()
assert type(fluxqueue_worker.eventloop.new_event_loop()).__module__ == "uvloop"
assert not sys._is_gil_enabled(), "after uvloop"
"""


@without_gil
def test_no_import_brings_the_gil_back() -> None:
    # A warning says which module did.
    subprocess.run([sys.executable, "-W", "error", "-c", IMPORTS], check=True)


def in_threads(function: Any, count: int = 4) -> None:
    """Runs a function in threads that begin at once. Raises what one of them has raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait()
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - the test raises it
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_deadlines_pass_in_many_threads_and_no_exception_is_left() -> None:
    deadlines = Deadlines(60.0)
    watcher = threading.Thread(target=lambda: [None for _ in iter(deadlines.wait, None)])
    watcher.start()

    def spin() -> None:
        while True:
            pass

    # Some end just when their deadline passes.
    def ends_soon() -> None:
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass

    spinning, ending = deadlines.guard(spin, 0.002), deadlines.guard(ends_soon, 0.002)

    def attempts() -> None:
        for _ in range(10):
            with pytest.raises(TaskTimeout):
                spinning()
            with contextlib.suppress(TaskTimeout):
                ending()
            # A pending exception would be raised here.
            sum(range(1000))

    try:
        in_threads(attempts)
    finally:
        deadlines.stop()
        watcher.join()


def test_a_cancelled_call_ends_alone_and_no_exception_is_left() -> None:
    calls = 300

    class Runner:
        attempt: Any = None

    def short() -> None:
        sum(range(200))

    function, stopped = CancellableCall(short), threading.Event()
    runner, ended, cancelled = Runner(), [0], [0]

    def serve() -> None:
        ident.append(threading.get_ident())
        for _ in range(calls):
            runner.attempt = object()
            with contextlib.suppress(CancelRequested):
                function()
            # The worker's own code, which must not be interrupted.
            runner.attempt = None
            ended[0] += 1
            sum(range(200))

    def cancel() -> None:
        while not stopped.is_set():
            attempt: Any = runner.attempt
            if attempt is not None and ident:
                cancelled[0] += cancel_call(runner, attempt, ident[0])

    ident: list[int] = []
    serving, cancelling = threading.Thread(target=serve), threading.Thread(target=cancel)
    cancelling.start()
    serving.start()
    serving.join()
    stopped.set()
    cancelling.join()
    assert ended == [calls]
    assert not cancel_call(runner, runner.attempt, ident[0])


def test_threads_enqueue_over_their_own_connections(redis_url: str, redis: Any) -> None:
    queue = FluxQueue(redis_url)

    @queue.task(queue="threads")
    def work(number: int) -> None: ...

    numbers = iter(range(10**6))
    lock = threading.Lock()

    def enqueue() -> None:
        for _ in range(400):
            with lock:
                number = next(numbers)
            work(number)

    in_threads(enqueue)
    messages = redis.lrange("fluxqueue:{threads}:pending", 0, -1)
    assert len(messages) == len(set(messages)) == 1600
