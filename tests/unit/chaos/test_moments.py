"""Each verdict of the chaos suite on periodic tasks can fail: ledgers made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chaos.checker import check
from chaos.evidence import Evidence, Loss, Outage, Remains
from chaos.ledger import History, Run
from chaos.moments import ALONE, EVERY, FIRST_NUMBER, is_moment, number_of
from fluxqueue_core.periodic.record import run_id, template_id

MOMENT = 1_764_430_000_000


def run(moment: int, start: float, end: float | None = None, place: int = 0, **fields: Any) -> Run:
    """An attempt at the run of a moment, which is counted from `MOMENT` on."""
    number = FIRST_NUMBER * (place + 1) + MOMENT + moment * EVERY
    return replace(Run(number, 100, 0, start, end), **fields)


def found(*runs: Run, **others: Any) -> dict[str, Any]:
    """All that is not as it should be, of three moments of each periodic task."""
    moments = dict.fromkeys((0, ALONE), (MOMENT, MOMENT + 3 * EVERY))
    evidence = replace(Evidence(History(runs=list(runs)), Remains(), moments=moments), **others)
    verdict = check(evidence)
    return {
        name: [number % FIRST_NUMBER - MOMENT for number in value]
        for name, value in vars(verdict).items()
        if value and name not in ("tasks", "settled_wrongly", "run_twice")
    }


ALL = [run(n, n, n + 0.5) for n in range(3)]


def test_the_number_of_a_run_is_made_of_its_moment() -> None:
    task_id = run_id(template_id("", "q", "a"), MOMENT)
    assert number_of(1, task_id) == 2 * FIRST_NUMBER + MOMENT
    assert is_moment(number_of(0, task_id)) and not is_moment(1_000_000_000)


def test_a_run_of_each_moment_is_in_order() -> None:
    assert found(*ALL) == {}


def test_a_moment_without_a_run_that_ended_is_missed() -> None:
    assert found(ALL[0], run(1, 1.0, failed=1.2), ALL[2]) == {"moments_missed": [EVERY]}
    again = run(1, 2.0, 2.1, retries=1)
    assert found(ALL[0], run(1, 1.0, failed=1.2), again, ALL[2]) == {}
    dead = Remains(dead={ALL[1].number: "worker_lost"})
    assert found(ALL[0], ALL[2], remains=dead) == {}


def test_where_redis_loses_writes_or_its_clock_jumps_moments_may_be_missed() -> None:
    assert found(ALL[0], writes_lost=[Outage(0.0, 1.0)]) == {}
    assert found(ALL[0], clock_jumped=True) == {}


def test_a_moment_that_comes_twice_is_a_task_that_runs_twice() -> None:
    assert found(*ALL, run(1, 3.0, 3.1)) == {"not_in_flight": [EVERY]}


def test_a_run_that_begins_beside_another_is_found() -> None:
    of_alone = [run(0, 0.0, 2.0, ALONE), run(2, 1.5, 1.8, ALONE)]
    assert found(*ALL, *of_alone) == {"overlapping": [2 * EVERY]}
    # It is in progress between its attempts too.
    attempts = [run(0, 0.0, place=ALONE, failed=0.2), run(0, 1.0, 1.2, ALONE, retries=1)]
    assert found(*ALL, *attempts, run(1, 0.5, 0.6, ALONE)) == {"overlapping": [EVERY]}
    assert found(*ALL, *attempts, run(1, 1.3, 1.4, ALONE)) == {}


def test_a_worker_that_was_lost_may_go_on_while_the_next_run_begins() -> None:
    stopped = run(0, 0.0, 9.0, ALONE)
    again = run(0, 4.0, 4.5, ALONE, pid=101)
    following = run(1, 5.0, 5.1, ALONE, pid=101)
    assert found(*ALL, stopped, again, following) != {}
    assert found(*ALL, stopped, again, following, losses=[Loss(100, 1.0, 3.0)]) == {}
