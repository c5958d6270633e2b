"""A process that ends by itself fails the measure; one that the measure kills does not."""

from __future__ import annotations

import signal

import pytest
from fluxqueue_bench.harness import Bench


def test_a_worker_may_be_killed_by_the_measure_only() -> None:
    with Bench() as bench:
        with bench.worker() as worker:
            bench.kill(worker)
            assert worker.returncode == -signal.SIGKILL
        ended = pytest.raises(RuntimeError, match="fluxqueue_worker ended with -9")
        with ended, bench.worker() as worker:
            worker.kill()
