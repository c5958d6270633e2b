"""Where the processor time of a task goes."""

from __future__ import annotations

import os

import pytest
from fluxqueue_bench import machine
from fluxqueue_bench.shares import of_redis, of_worker


def test_the_parts_are_together_the_whole() -> None:
    stats = {
        "cmdstat_evalsha": {"calls": 2, "usec": 900},
        "cmdstat_rpop": {"calls": 8, "usec": 100},
        "cmdstat_hset": {"calls": 8, "usec": 200},
        "cmdstat_config|resetstat": {"calls": 1, "usec": 50},
    }
    found = of_redis(stats, cpu=0.002, tasks=100)
    assert list(found.values()) == pytest.approx([1, 0, 2, 0, 6, 11])
    assert sum(found.values()) == pytest.approx(20)


def test_a_worker_has_one_thread_for_redis_and_others_for_tasks() -> None:
    found = of_worker({"fluxqueue-drive": 0.001, "python": 0.002, "fluxqueue-worke": 0.001}, 1000)
    assert list(found.values()) == pytest.approx([1, 3])


def test_the_seconds_of_all_threads_are_those_of_the_process() -> None:
    deadline = machine.cpu_seconds(os.getpid()) + 0.1
    while machine.cpu_seconds(os.getpid()) < deadline:
        pass
    found = machine.by_thread(os.getpid())
    assert 0.1 <= sum(found.values()) <= machine.cpu_seconds(os.getpid()) + 0.02
