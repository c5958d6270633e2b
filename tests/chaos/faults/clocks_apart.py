"""The clocks of all processes, Redis among them, are minutes apart, and a worker
is killed: its tasks run elsewhere as soon as ever."""

from __future__ import annotations

from dataclasses import replace

from chaos.clocks import no_compiler, wrong_clock
from chaos.fault import Setup
from chaos.faults import worker_killed

FAULT = replace(
    worker_killed.FAULT,
    title="clocks: minutes apart, worker SIGKILL",
    setup=Setup(environment=wrong_clock, missing=no_compiler),
    trials=2,
    kills=False,
    mixes=False,
)
