"""Where a page of tasks has ended, and the cursor that says it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page has ended.

    Attributes:
        state: that of the page.
        source: the key within the state, as `sources.sources_of` names it.
        passed: how many tasks come before the next one; 0 at the beginning.
        score: the score of the last task, if the source is a sorted set.
        mark: what the script `search` looks for to go on from; empty at the beginning.
    """

    state: str
    source: str
    passed: int = 0
    score: str = ""
    mark: bytes = b""

    @classmethod
    def parse(cls, cursor: str, state: str) -> Position:
        """Reads a cursor of a page in this state.

        Raises:
            ValueError: it is not one.
        """
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            parts = json.loads(base64.urlsafe_b64decode(padded))
            own, source, passed, score, mark = parts
            position = cls(own, source, passed, score, bytes.fromhex(mark))
            kinds = (str, str, int, str)
            if not all(map(isinstance, (own, source, passed, score), kinds)) or own != state:
                raise ValueError
        except (ValueError, TypeError, RecursionError):
            raise ValueError(
                f"{cursor!r} is not a cursor of {state} tasks: pass the one that came with a page"
            ) from None
        return position

    def __str__(self) -> str:
        parts = (self.state, self.source, self.passed, self.score, self.mark.hex())
        text = json.dumps(parts, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def moved(self, passed: int, score: bytes, mark: bytes) -> Position:
        """Returns the position of the same source after a call of the script."""
        return replace(self, passed=passed, score=score.decode(), mark=mark)
