"""The link between a worker process and its supervisor: a socket pair, one end each.

The supervisor's end closes when the supervisor dies, whatever kills it; the worker
then drains. A signal to a worker always means "drain", however often it arrives: a
service manager signals every process of a service, and the supervisor forwards its
own signals too. Only a message on this link cuts a drain short.
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
class ProcessPosition:
    """A worker process's position under its supervisor. The text form is the value
    of the hidden flag `--supervised`.

    Attributes:
        index: counts from 0. A process that replaces another keeps its index.
        link: the descriptor of the worker's end of the link.
        health: the descriptor of the listening socket on which the supervisor asks
            for the process's health; None without a health endpoint.
    """

    index: int
    link: int
    health: int | None

    def __str__(self) -> str:
        health = "" if self.health is None else str(self.health)
        return f"{self.index},{self.link},{health}"

    @classmethod
    def parse(cls, text: str) -> ProcessPosition:
        """Reads the text form.

        Raises:
            ValueError: the text has another form.
        """
        index, link, health = text.split(",")
        return cls(int(index), int(link), int(health) if health else None)


class SupervisorLink:
    """The worker's end.

    Attributes:
        ended: the supervisor has died.
        cut: the supervisor wants the drain cut short.
    """

    def __init__(self, position: ProcessPosition) -> None:
        self.ended = False
        self.cut = False
        # Read with `os`: the worker needs `socket` for nothing else.
        self._fd = position.link
        os.set_blocking(self._fd, False)
        os.set_inheritable(self._fd, False)
        # Until the worker catches signals, this one ends the process, which holds
        # nothing yet. If the supervisor died before this call, the link is closed.
        set_parent_death_signal(signal.SIGTERM)
        os.register_at_fork(after_in_child=lambda: os.close(position.link))

    def fileno(self) -> int:
        return self._fd

    def up(self) -> None:
        """Tells the supervisor that the configuration is good and the worker starts."""
        with contextlib.suppress(OSError):
            os.write(self._fd, UP)

    def read(self) -> bool:
        """Reads what has arrived. Returns whether the supervisor has ended."""
        with contextlib.suppress(BlockingIOError):
            received = os.read(self._fd, 64)
            self.cut |= CUT in received
            self.ended |= not received
        return self.ended
