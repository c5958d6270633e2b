"""Redis and its client run where the comparison says that they do."""

from __future__ import annotations

import os

import pytest
from fluxqueue_bench.harness import Bench

AFFINITY = "import os; print(sorted(os.sched_getaffinity(0)))"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize("together", [False, True])
def test_a_client_is_on_the_core_of_redis_or_on_another(together: bool) -> None:
    everywhere = os.sched_getaffinity(0)
    first, second = sorted(everywhere)[:2]
    with Bench() as bench:
        with bench.pinned(together=together):
            assert os.sched_getaffinity(bench.redis.pid) == {first}
            client = first if together else second
            assert bench.python("-c", AFFINITY).strip() == f"[{client}]"
        assert os.sched_getaffinity(bench.redis.pid) == everywhere
        assert bench.python("-c", AFFINITY).strip() == str(sorted(everywhere))
