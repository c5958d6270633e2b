"""Shows that a fault took place: a client was told that nothing was enqueued."""

from __future__ import annotations

from support.waiting import wait_until

from .ledger import REFUSED
from .stack import Stack


def wait_until_refused(stack: Stack, since: float) -> None:
    """Waits for a call that began after that moment and was refused. (One that
    can't connect is refused after five seconds.)"""

    def refused() -> bool:
        calls = list(stack.ledger.history().calls.values())
        return any(call.outcome == REFUSED and call.called >= since for call in calls)

    wait_until(refused, what="a call that is refused", interval=0.05)
