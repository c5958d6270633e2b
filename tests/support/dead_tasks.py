"""Many dead tasks, which died as a worker's exchanges let them die."""

from __future__ import annotations

from fluxqueue_core import dead_reason

from .scripts import LEASE, Outcome, Scripts, field, message


def die_many(scripts: Scripts, count: int, at_once: int = 1_000) -> set[bytes]:
    """Lets tasks die that have the numbers from 1 on. A tenth of them dies in another place of the
    code; returns their ids."""
    common, rare = (_reason(line) for line in (3, 4))
    scripts.open("mortician", lease=100 * LEASE)
    others: set[bytes] = set()
    for start in range(1, count + 1, at_once):
        raw = [message(number) for number in range(start, min(start + at_once, count + 1))]
        scripts.enqueue(*raw)
        claimed = scripts.exchange("mortician", len(raw)).claimed
        others.update(one[13:49] for one in claimed[::10])
        outcomes = [
            Outcome(field(one), "dead", common if at % 10 else rare, "1")
            for at, one in enumerate(claimed)
        ]
        scripts.exchange("mortician", outcomes=outcomes)
    return others


def _reason(line: int) -> bytes:
    trace = f'Traceback\n  File "/srv/shop/tasks.py", line {line}, in send\n    x\nKeyError: 1\n'
    return dead_reason("failed", "KeyError: 1", trace)
