"""Connections are cut in the middle of a command: Redis gets half of it, and
executes nothing."""

from __future__ import annotations

from functools import partial

from chaos.cuts import cut_in_the_middle
from chaos.fault import ROLES, Fault, Setup

FAULT = Fault(
    "network: cut in the middle of a command",
    partial(cut_in_the_middle, of="command"),
    setup=Setup(proxied=frozenset(ROLES)),
    trials=2,
    mixes=True,
)
