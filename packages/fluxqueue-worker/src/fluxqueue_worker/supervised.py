"""A worker process's line to its supervisor: a pair of sockets, one end each.

The supervisor's end is closed when it dies, however it dies: then the worker
drains. A signal to a worker always means "drain", however often it comes: a
service manager signals every process of a service, and the supervisor passes
its own on as well. What cuts a drain short comes by this line alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass

from fluxqueue_core import set_parent_death_signal

UP = b"u"
CUT = b"c"


@dataclass(frozen=True)
class Place:
    """Where a worker process stands under its supervisor; the text form is the
    value of the hidden flag `--supervised`.

    Attributes:
        index: from 0; a process that is started in place of another has its index.
        line: the descriptor of this end of the line.
        health: that of the listening socket on which the supervisor asks for
            the process's health; None without a health endpoint.
    """

    index: int
    line: int
    health: int | None

    def __str__(self) -> str:
        health = "" if self.health is None else str(self.health)
        return f"{self.index},{self.line},{health}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Reads the text form.

        Raises:
            ValueError: it is none.
        """
        index, line, health = text.split(",")
        return cls(int(index), int(line), int(health) if health else None)


class Line:
    """The worker's end.

    Attributes:
        ended: the supervisor has died.
        cut: the drain is to be cut short.
    """

    def __init__(self, place: Place) -> None:
        self.ended = False
        self.cut = False
        # Without `socket`, which a worker does not need otherwise.
        self._fd = place.line
        os.set_blocking(self._fd, False)
        os.set_inheritable(self._fd, False)
        # Until signals are caught this ends the process, which has nothing yet.
        # Who died before this call has closed the line.
        set_parent_death_signal(signal.SIGTERM)
        os.register_at_fork(after_in_child=lambda: os.close(place.line))

    def fileno(self) -> int:
        return self._fd

    def up(self) -> None:
        """Tells that the configuration is good and the worker begins."""
        with contextlib.suppress(OSError):
            os.write(self._fd, UP)

    def read(self) -> bool:
        """Reads what has come; whether the supervisor has ended."""
        with contextlib.suppress(BlockingIOError):
            received = os.read(self._fd, 64)
            self.cut |= CUT in received
            self.ended |= not received
        return self.ended
