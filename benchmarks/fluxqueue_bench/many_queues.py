"""An application with a task for each of many queues."""

from __future__ import annotations

import os

from fluxqueue import FluxQueue

QUEUES = int(os.environ.get("BENCH_QUEUES", "1500"))
NAMES = [f"customer.{number}" for number in range(QUEUES)]

fluxqueue = FluxQueue(os.environ.get("BENCH_URL"))


def _work() -> None:
    pass


for _number, _name in enumerate(NAMES):
    fluxqueue.task(name=f"work{_number}", queue=_name)(_work)
