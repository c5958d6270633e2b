"""Child processes that end with their parent, even if it is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

# Linux sends the signal when the *thread* that started the child ends. So start the child
# in a thread that lives as long as the child should. The setting outlives exec. The
# comparison detects a parent that died before the setting.
_LAUNCHER = """
import os, sys
from fluxqueue_core import set_parent_death_signal
set_parent_death_signal(int(sys.argv[2]))
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[3], sys.argv[3:])
"""


def bound_to_parent(command: Sequence[str], death_signal: int = signal.SIGTERM) -> list[str]:
    """Returns the command line that runs `command` until this process has died.

    Args:
        command: an absolute path and its arguments.
        death_signal: the signal that it gets when the thread that started it ends.
    """
    return [sys.executable, "-c", _LAUNCHER, str(os.getpid()), str(int(death_signal)), *command]
