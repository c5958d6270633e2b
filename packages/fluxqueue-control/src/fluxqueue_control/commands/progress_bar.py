"""A bar on stderr for a change that takes long. Only a terminal gets one."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from .answers import age

_WIDTH = 30
# Seconds between two drawings.
_PAUSE = 0.1


class ProgressBar:
    """Shows how many tasks of how many are done, and how long the rest will take.

    Args:
        total: None if it is not known.
        verb: what is done to a task, such as `removed`.
        is_shown: by default, whether stderr is a terminal.
        already: how many were done before, at another rate.
    """

    def __init__(
        self, total: int | None, verb: str, *, is_shown: bool | None = None, already: int = 0
    ) -> None:
        self._total = total
        self._already = already
        self._verb = verb
        self._is_shown = sys.stderr.isatty() if is_shown is None else is_shown
        self._began = time.monotonic()
        self._drawn = 0.0
        self._done = 0
        self._length = 0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._length:
            self._draw()
            print(file=sys.stderr, flush=True)

    def update(self, done: int) -> None:
        """Shows a new number."""
        self._done = done
        if self._is_shown and time.monotonic() - self._drawn >= _PAUSE:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        text = self._text(self._drawn - self._began)
        print(f"\r{text.ljust(self._length)}", end="", file=sys.stderr, flush=True)
        self._length = len(text)

    def _text(self, seconds: float) -> str:
        rate = (self._done - self._already) / seconds if seconds > 0 else 0.0
        text = f"{self._done:,} {self._verb}, {rate:,.0f}/s"
        if not self._total:
            return text
        share = min(self._done / self._total, 1.0)
        filled = round(share * _WIDTH)
        bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%} of {self._total:,}: {text}"
        left = max(self._total - self._done, 0)
        return f"{bar}, {age(left / rate)} left" if rate and left else bar
