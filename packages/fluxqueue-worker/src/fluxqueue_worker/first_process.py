"""A small init for a process that is the first one of its container.

Process 1 inherits the orphans of all other processes and must collect them when they end.
No default action applies to its signals. A worker can do neither: `waitpid` for all
children would also take the exit codes that the tasks wait for. So process 1 forks: the
child is the worker, and process 1 collects and forwards.

Why: docs/decisions/0080-process-1-forks.md
"""

from __future__ import annotations

import os
import signal
import sys

# The signals that a process can't block, and those that its own faults cause.
_OUR_OWN = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
}


def continue_as_child() -> None:
    """Returns in a child process if this is process 1, else at once.

    Process 1 does not return: it forwards signals, collects all processes that end, and
    ends with the exit code of the child: 128 and the number for a signal. Call it while
    there is only one thread.
    """
    if os.getpid() != 1 or not sys.platform.startswith("linux"):
        return
    signals = signal.valid_signals() - _OUR_OWN
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if child == 0:
        # Ctrl+C goes to the terminal's process group, which is that of process 1. It
        # forwards the signal, so the child gets it once.
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_serve(child, signals))


def _serve(child: int, signals: set[signal.Signals]) -> int:
    """Forwards and collects until the child has ended. Returns its exit code."""
    while True:
        number = signal.sigwaitinfo(signals).si_signo
        if number != signal.SIGCHLD:
            os.kill(child, number)
        elif (code := _collect(child)) is not None:
            return code


def _collect(child: int) -> int | None:
    """Collects all processes that have ended. Returns the child's exit code if it is
    one of them."""
    ended = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            ended = code if code >= 0 else 128 - code
