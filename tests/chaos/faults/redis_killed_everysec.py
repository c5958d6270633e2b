"""Redis is killed by SIGKILL and started again with `appendfsync everysec`.

The kernel has everything that Redis has written, so nothing is lost while the disk is
quick. `redis_power_cut_everysec` is the fault in which the machine is lost.
"""

from __future__ import annotations

from chaos.fault import Fault, Setup
from chaos.redis_faults import kill_and_restart

FAULT = Fault(
    "Redis: SIGKILL, restart, appendfsync everysec",
    kill_and_restart,
    setup=Setup(appendfsync="everysec"),
    trials=2,
)
