"""The cost of a task with a backlog."""

from __future__ import annotations

import re

from .goals import Spreads
from .results import Spread


def backlog_costs(found: Spreads, what: str) -> list[tuple[int, int, Spread]]:
    """(waiting, delayed, µs a task) of each case, from tasks a second; the one with
    fewest waiting, and none delayed, comes first."""
    cases = []
    for (_, group, name, unit), rate in found.items():
        if group == "Backlog" and unit == what:
            waiting, *delayed = (int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", name))
            cost = Spread(1e6 / rate.median, 1e6 / rate.high, 1e6 / rate.low)
            cases.append((waiting, sum(delayed), cost))
    return sorted(cases, key=lambda case: (case[1] > 0, case[0]))
