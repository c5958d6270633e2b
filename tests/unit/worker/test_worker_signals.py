"""Signals and the end of the process, in separate processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

COLLECT = """
import os, select, signal, sys
from fluxqueue_worker.shutdown import Signals, exit_with
"""


def run(code: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COLLECT + code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_signals_wake_the_poll_and_are_taken_in_order() -> None:
    result = run("""
with Signals() as signals:
    assert signals.take() == []
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert select.select([signals.fd], [], [], 10)[0] == [signals.fd]
    taken = signals.take()
    assert sorted(taken) == [signal.SIGINT, signal.SIGTERM], taken
    assert select.select([signals.fd], [], [], 0)[0] == []
    signals.wake()
    assert select.select([signals.fd], [], [], 0)[0] == [signals.fd]
    assert signals.take() == []
assert signal.set_wakeup_fd(-1) == -1
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
    os.kill(os.getpid(), number)
print("still here")
""")
    assert (result.returncode, result.stdout, result.stderr) == (0, "still here\n", "")


def test_sigquit_prints_the_stacks_of_all_threads_and_goes_on() -> None:
    result = run("""
import threading
go = threading.Event()
begun = threading.Event()
def wait_in_here():
    begun.set()
    go.wait()
thread = threading.Thread(target=wait_in_here)
thread.start()
begun.wait()
with Signals() as signals:
    os.kill(os.getpid(), signal.SIGQUIT)
    select.select([signals.fd], [], [], 10)
    assert signals.take() == [signal.SIGQUIT]
go.set()
print("went on")
""")
    assert result.returncode == 0
    assert result.stdout == "went on\n"
    assert "in wait_in_here" in result.stderr
    assert "Current thread" in result.stderr


def test_a_forked_child_dies_of_sigterm_and_does_not_wake_its_parent() -> None:
    result = run("""
with Signals() as signals:
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WTERMSIG(status) == signal.SIGTERM, status
    assert select.select([signals.fd], [], [], 0)[0] == []
    os.kill(os.getpid(), signal.SIGTERM)
    assert select.select([signals.fd], [], [], 10)[0] == [signals.fd]
    assert signals.take() == [signal.SIGTERM]
""")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("stuck", [True, False])
def test_the_process_ends_whatever_its_threads_do(stuck: bool) -> None:
    """Not stuck, it waits for the application's thread, but for five seconds only."""
    result = run(f"""
import threading
threading.Thread(target=threading.Event().wait).start()
print("written, not flushed", end="")
sys.exit(exit_with(0, stuck={stuck}))
""")
    assert result.returncode == 0
    if stuck:
        assert result.stdout == "written, not flushed"


def test_a_process_without_such_threads_ends_in_the_normal_way() -> None:
    result = run("""
import atexit
atexit.register(print, "at exit")
sys.exit(exit_with(3, stuck=False))
""")
    assert (result.returncode, result.stdout) == (3, "at exit\n")
