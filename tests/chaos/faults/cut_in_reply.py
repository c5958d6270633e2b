"""Connections are cut in the middle of a reply: Redis has executed the command, and
the caller can't know."""

from __future__ import annotations

from functools import partial

from chaos.cuts import cut_in_the_middle
from chaos.fault import ROLES, Fault, Setup

FAULT = Fault(
    "network: cut in the middle of a reply",
    partial(cut_in_the_middle, of="reply"),
    setup=Setup(proxied=frozenset(ROLES)),
    trials=2,
    mixes=True,
)
