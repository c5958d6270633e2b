"""The verdict on a task that kills its processes."""

from __future__ import annotations

import os

import pytest
from chaos.fault import FaultFailed
from chaos.harmful_tasks import judge_poison
from chaos.ledger import Run

# Above the highest number that the kernel gives to a process.
GONE = (1 << 22) + 1
DEAD = {7: "worker_lost", 8: "failed"}


def runs(*pids: int) -> list[Run]:
    return [Run(7, pid, retries=0, start=float(n)) for n, pid in enumerate(pids)]


def test_three_processes_and_nothing_else() -> None:
    assert judge_poison(7, runs(GONE, GONE + 1, GONE + 2), DEAD) == []


@pytest.mark.parametrize("pids", [(0, 1), (0, 1, 2, 3), (0, 1, 1), ()])
def test_another_number_of_processes_is_reported(pids: tuple[int, ...]) -> None:
    (line,) = judge_poison(7, runs(*(GONE + pid for pid in pids)), DEAD)
    assert f"took {len(pids)} processes along, not 3" in line


def test_an_innocent_task_that_is_dead_is_reported() -> None:
    (line,) = judge_poison(7, runs(GONE, GONE + 1, GONE + 2), DEAD | {9: "worker_lost"})
    assert line == "dead as worker_lost beside task 7: [9]"


def test_a_process_that_survives_fails_the_trial() -> None:
    with pytest.raises(FaultFailed, match="took no process along"):
        judge_poison(7, runs(GONE, GONE + 1, os.getpid()), DEAD)
    ended = runs(GONE, GONE + 1, GONE + 2)
    ended[1].failed = 5.0
    with pytest.raises(FaultFailed, match="took no process along"):
        judge_poison(7, ended, DEAD)
