"""Connections that break at a bad moment."""

from __future__ import annotations

import random

from support.proxy import Proxy
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
            _cut_each(stack.proxies(), chance, of)
    return Flow(now())


def _cut_each(proxies: list[Proxy], chance: random.Random, of: str) -> None:
    before = [proxy.cuts for proxy in proxies]
    for proxy in proxies:
        proxy.cut_in_the_middle(of, chance.random())

    def cut() -> bool:
        """Each process sends and gets something twice a second or more; only a
        worker may be idle, until it must renew its lease."""
        done = sum(proxy.cuts > n for proxy, n in zip(proxies, before, strict=True))
        return done >= len(proxies) - 1

    wait_until(cut, what=f"cuts in the middle of a {of}")
