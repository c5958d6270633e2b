"""Connections that break at a bad moment."""

from __future__ import annotations

import random

from support.waiting import wait_until

from .ledger import now
from .recovery import Flow, Recovery
from .stack import Stack

FEWEST, MOST = 1, 6


def cut_in_the_middle(stack: Stack, chance: random.Random, of: str) -> Recovery:
    """Cuts connections, one of each process and several times, within a command
    or within a reply (`of`)."""
    for _ in range(chance.randint(FEWEST, MOST)):
        with stack.outage():
            _cut_each(stack, chance, of)
    return Flow(now())


def _cut_each(stack: Stack, chance: random.Random, of: str) -> None:
    proxies = stack.proxies()
    before = {proxy: proxy.cuts for proxy in proxies}
    for proxy in proxies:
        proxy.cut_in_the_middle(of, chance.random())

    def cut() -> bool:
        """Each process sends and gets something twice a second or more; only a
        worker may be idle, until it must renew its lease. Another fault may kill some
        meanwhile."""
        present = stack.proxies()
        left = [proxy for proxy in proxies if proxy in present and proxy.cuts == before[proxy]]
        return len(left) <= 1

    wait_until(cut, what=f"cuts in the middle of a {of}")
