"""Ends a child process that a task has forked, if the task's code ends in it without
ending the child.

Such a child is a copy of the worker with one thread, and without the consumer's thread.
It must neither settle the attempt, which belongs to its parent, nor wait for more attempts.
(`multiprocessing` ends its children itself; this is for a plain `os.fork`.)
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from fluxqueue_core.exception_text import is_a
from fluxqueue_core.service import log

from .failure_text import traceback_or_reason

# In such a child: what its parent closes, which may be connections. Kept, because a generator
# that nothing refers to runs its end.
LEFT_OPEN: list[object] = []


class ForkWatch:
    """Knows whether this process is such a child.

    Attributes:
        in_child: a plain attribute, because the loops read it after every task.
    """

    def __init__(self) -> None:
        self.in_child = False
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.in_child = True


def leave(error: BaseException | None) -> NoReturn:
    """Ends the child as Python ends a script that returned, or that raised `error`."""
    code = 0
    if error is not None and is_a(error, SystemExit):
        wanted = SystemExit.__dict__["code"].__get__(error)
        code = int.__and__(wanted, 0xFF) if is_a(wanted, int) else int(wanted is not None)
    elif error is not None:
        code = 1
        with contextlib.suppress(Exception):
            sys.stderr.write(traceback_or_reason(error))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    log.flush()
    os._exit(code)
