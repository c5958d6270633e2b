"""Child processes that end with their parent, even if it is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

# Linux sends the signal when the *thread* that started the child ends, so a
# child has to be started by a thread that lives as long as it should. The
# setting outlives exec. The comparison covers a parent that died before it.
_LAUNCHER = """
import os, sys
from fluxqueue_core import set_parent_death_signal
set_parent_death_signal(int(sys.argv[2]))
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[3], sys.argv[3:])
"""


def bound_to_parent(command: Sequence[str], death_signal: int = signal.SIGTERM) -> list[str]:
    """The command line that runs `command` until this process has died.

    Args:
        command: an absolute path and its arguments.
        death_signal: what it gets when the thread that starts it ends.
    """
    return [sys.executable, "-c", _LAUNCHER, str(os.getpid()), str(int(death_signal)), *command]
