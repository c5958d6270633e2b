"""A thread that repeats one step and survives every error."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from time import monotonic

from fluxqueue_control.errors import DENIED, UNAVAILABLE
from redis.exceptions import ResponseError

from .error_log import ErrorLog, remedy
from .outages import Outages

# Seconds to pause after an error, doubled each time.
FIRST_BACKOFF = 0.05
LONGEST_BACKOFF = 0.5
# Only an operator can end this error.
DENIED_BACKOFF = 5.0


class Loop(threading.Thread):
    """Calls `step` until `stop` is set. A step returns the seconds to pause.

    Attributes:
        error: why the last step failed; empty if it did not.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], float],
        stop: threading.Event,
        outages: Outages,
        error_log: ErrorLog,
    ) -> None:
        super().__init__(name=f"fluxqueue-{name}", daemon=True)
        self._step = step
        self._stopping = stop
        self._outages = outages
        self._error_log = error_log
        self._due = monotonic()
        self.error = ""

    @property
    def overdue(self) -> float:
        """Seconds since the running step began, or since the next one was due."""
        return max(monotonic() - self._due, 0.0)

    def run(self) -> None:
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            self._due = monotonic()
            try:
                pause = self._step()
            except UNAVAILABLE as error:
                self._outages.began(self.name, error)
                self.error = f"Redis is away: {error}"
                pause = backoff
                backoff = min(2 * backoff, LONGEST_BACKOFF)
                if isinstance(error, DENIED):
                    pause = DENIED_BACKOFF
            except ResponseError as error:
                # A command that this server does not have, or a missing right.
                self._error_log.report(
                    "scheduler.failed",
                    f"{self.name} {error}",
                    loop=self.name,
                    error=str(error),
                    **remedy(error),
                )
                self.error = str(error)
                pause = DENIED_BACKOFF
            except Exception as error:  # noqa: BLE001 - only a signal may end the scheduler
                self._error_log.report(
                    "scheduler.failed",
                    f"{self.name} {type(error).__name__} {error}",
                    loop=self.name,
                    exception=traceback.format_exc(),
                )
                self.error = f"{type(error).__name__}: {error}"
                pause = LONGEST_BACKOFF
            else:
                self.error = ""
                self._outages.ended(self.name)
                backoff = FIRST_BACKOFF
            self._due = monotonic() + pause
            if pause > 0:
                self._stopping.wait(pause)
