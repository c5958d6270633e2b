"""`python -m fluxqueue_bench.telemetry_enqueue N`: prints the CPU seconds, user and
system, that one of N calls takes, in an application with the SDK of `sdk`."""

from __future__ import annotations

import sys
import time

from . import sdk
from .tasks import PAYLOAD, noop


def main(n: int) -> float:
    with sdk.request(sdk.set_up()):
        for number in range(n // 10):  # opens the connection, and warms up
            noop(number, *PAYLOAD)
        sdk.flush()
        before = time.process_time()
        for number in range(n):
            noop(number, *PAYLOAD)
        sdk.flush()
        return (time.process_time() - before) / n


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
