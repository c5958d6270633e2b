"""Deadlines where code is traced, as by coverage or a debugger.

CPython 3.11 has one flag for the pending exceptions of all threads. While it is set,
a traced function does not get past its first instruction, in no thread
(`DO_TRACING` in Python/ceval.c looks at it before each RESUME, and goes back to itself).
"""

from __future__ import annotations

import subprocess
import sys

# The caller of `read_twice` takes the GIL between the reads, and runs no bytecode.
PROGRAM = """
import os, sys, threading
from fluxqueue_core import Deadlines
from fluxqueue_core.errors import TaskTimeout

def trace(frame, event, argument):
    return trace

deadlines = Deadlines(0.05)
reading, writing = os.pipe()
stuck = threading.Event()

def watch():
    while deadlines.wait() is not None:
        stuck.set()

def read_twice():
    list(map(os.read, (reading, reading), (1, 1)))

def run():
    try:
        deadlines.guard(read_twice, 0.05)()
    except TaskTimeout:
        print("timed out", flush=True)

def go_on():
    def function():
        pass
    for _ in range(1000):
        function()

threading.settrace(trace)
watcher = threading.Thread(target=watch)
watcher.start()
blocked = threading.Thread(target=run)
blocked.start()
stuck.wait()
sys.settrace(trace)
for _ in range(2):
    other = threading.Thread(target=go_on)
    other.start()
    other.join()
    go_on()
    os.write(writing, b"x")
blocked.join()
deadlines.stop()
watcher.join()
print("ended", flush=True)
"""
# Seconds; without a pending exception it takes less than two.
PATIENCE = 60.0


def test_traced_threads_go_on_beside_a_timeout_that_waits_for_a_blocked_thread() -> None:
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (program.stdout.split("\n"), program.stderr) == (["timed out", "ended", ""], "")
