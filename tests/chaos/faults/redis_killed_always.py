"""Redis is killed by SIGKILL and started again; its append-only file is on disk
before it answers (`appendfsync always`)."""

from __future__ import annotations

from chaos.fault import Fault, Setup
from chaos.redis_faults import kill_and_restart

FAULT = Fault(
    "Redis: SIGKILL, restart, appendfsync always",
    kill_and_restart,
    setup=Setup(appendfsync="always"),
    trials=2,
    mixes=True,
)
