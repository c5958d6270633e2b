"""Each verdict of the chaos suite's checker can fail: ledgers made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from chaos.checker import ORDER_SLACK, check
from chaos.evidence import (
    RECONNECTING,
    SETTLING,
    Evidence,
    Loss,
    Outage,
    Remains,
    Verdict,
)
from chaos.ledger import ENDS, REFUSED, RETURNED, UNCERTAIN, Call, History, Ledger, Run
from chaos.options import CallOptions

VICTIM, OTHER = 100, 200


def call(number: int = 1, outcome: str | None = RETURNED, expected: str = ENDS) -> Call:
    """Called at 10.0, answered at 10.1."""
    return Call(number, expected, 10.0, outcome, None if outcome is None else 10.1)


def run(
    start: float,
    *,
    end: float | None = None,
    failed: float | None = None,
    pid: int = VICTIM,
    retries: int = 0,
    number: int = 1,
) -> Run:
    return Run(number, pid, retries, start, end, failed)


def evidence(calls: Iterable[Call] = (), runs: Iterable[Run] = (), **others: object) -> Evidence:
    """With a counter of successes that fits, unless `remains` is given."""
    history = History({call.number: call for call in calls}, list(runs))
    succeeded = len({run.number for run in history.runs if run.end is not None})
    made = Evidence(history, Remains(succeeded=succeeded))
    return replace(made, **others)  # type: ignore[arg-type]  # the names of its fields


def found(verdict: Verdict) -> dict[str, object]:
    """All that is not as it should be, and what is only counted."""
    return {name: value for name, value in vars(verdict).items() if value and name != "tasks"}


def killed(moment: float) -> list[Loss]:
    return [Loss(VICTIM, moment, moment)]


def test_a_task_that_ran_once_and_ended_is_in_order() -> None:
    verdict = check(evidence([call()], [run(11.0, end=12.0)]))
    assert found(verdict) == {}
    assert verdict.violations() == []
    assert verdict.tasks == 1


# Lost


def test_lost_without_a_start() -> None:
    assert found(check(evidence([call()]))) == {"lost": [1]}


def test_lost_with_a_start_and_no_end() -> None:
    assert found(check(evidence([call()], [run(11.0)]))) == {"lost": [1]}


def test_lost_where_it_still_waits() -> None:
    remains = Remains(waiting={1})
    assert found(check(evidence([call()], remains=remains))) == {"lost": [1]}


def test_lost_where_it_should_be_dead_and_is_not() -> None:
    calls = [call(expected="dead:failed")]
    assert found(check(evidence(calls, [run(11.0, failed=12.0)]))) == {"lost": [1]}


def test_lost_where_it_is_dead_of_something_else() -> None:
    verdict = check(
        evidence(
            [call(expected="dead:failed")],
            [run(11.0, failed=12.0)],
            remains=Remains(dead={1: "arguments"}),
        )
    )
    assert verdict.lost == [1]


@pytest.mark.parametrize("outcome", [REFUSED, UNCERTAIN, None])
def test_not_lost_where_the_call_did_not_return(outcome: str | None) -> None:
    assert found(check(evidence([call(outcome=outcome)]))) == {}


def test_lost_by_redis_is_told_apart() -> None:
    lost = [Outage(10.05, 10.5)]
    assert found(check(evidence([call()], writes_lost=lost))) == {"lost_by_redis": [1]}
    earlier = [Outage(8.0, 9.9)]
    assert found(check(evidence([call()], writes_lost=earlier))) == {"lost": [1]}
    later = [Outage(10.2, 11.0)]
    assert found(check(evidence([call()], writes_lost=later))) == {"lost": [1]}


# Run twice


def test_run_twice_with_no_fault() -> None:
    runs = [run(11.0, end=12.0), run(13.0, end=14.0, pid=OTHER)]
    assert found(check(evidence([call()], runs))) == {"run_twice": [1], "not_in_flight": [1]}


def test_a_task_in_flight_at_a_loss_may_run_twice() -> None:
    runs = [run(11.0), run(22.0, end=23.0, pid=OTHER)]
    assert found(check(evidence([call()], runs, losses=killed(11.5)))) == {"run_twice": [1]}


def test_a_task_whose_outcome_was_on_its_way_may_run_twice() -> None:
    runs = [run(11.0, end=12.0), run(22.0, end=23.0, pid=OTHER)]
    just_after = killed(12.0 + SETTLING - 0.01)
    assert found(check(evidence([call()], runs, losses=just_after))) == {"run_twice": [1]}


@pytest.mark.parametrize(
    "losses",
    [
        pytest.param(killed(12.0 + SETTLING + 0.1), id="it had been settled"),
        pytest.param(killed(11.0 - SETTLING - 0.1), id="it had not begun"),
        pytest.param([Loss(OTHER + 1, 11.5, 11.5)], id="it was not there"),
    ],
)
def test_a_second_run_of_a_task_that_was_not_in_flight_is_a_violation(losses: list[Loss]) -> None:
    runs = [run(11.0, end=12.0), run(22.0, end=23.0, pid=OTHER)]
    verdict = check(evidence([call()], runs, losses=losses))
    assert found(verdict) == {"run_twice": [1], "not_in_flight": [1]}
    assert verdict.violations() == ["not in flight (1): [1]"]


def test_each_repetition_needs_its_own_cause() -> None:
    runs = [
        run(11.0),
        run(22.0, end=23.0, pid=OTHER),
        run(25.0, end=26.0, pid=OTHER + 1),
    ]
    verdict = check(evidence([call()], runs, losses=killed(11.5)))
    assert verdict.not_in_flight == [1]


def test_a_worker_that_goes_on_may_begin_what_it_had_just_taken() -> None:
    runs = [run(21.0, end=22.0, pid=OTHER), run(25.1, end=26.0)]
    lost = [Loss(VICTIM, 11.0, 25.0)]
    assert found(check(evidence([call()], runs, losses=lost))) == {"run_twice": [1]}
    much_later = [runs[0], run(25.0 + SETTLING + 0.1, end=27.0)]
    assert check(evidence([call()], much_later, losses=lost)).not_in_flight == [1]


def test_outcomes_wait_while_redis_is_down() -> None:
    runs = [run(11.0, end=12.0), run(32.0, end=33.0, pid=OTHER)]
    losses = killed(19.0)
    away = Outage(12.1, 18.0)
    verdict = check(evidence([call()], runs, losses=losses, outages=[away]))
    assert found(verdict) == {"run_twice": [1]}
    elsewhere = Outage(12.1, 18.0, (OTHER,))
    verdict = check(evidence([call()], runs, losses=losses, outages=[elsewhere]))
    assert verdict.not_in_flight == [1]
    over = Outage(12.1, 19.0 - RECONNECTING - 2 * SETTLING - 0.1)
    verdict = check(evidence([call()], runs, losses=losses, outages=[over]))
    assert verdict.not_in_flight == [1]


def test_a_lost_outcome_may_make_it_run_twice() -> None:
    runs = [run(11.0, end=12.0), run(14.0, end=15.0, pid=OTHER)]
    verdict = check(evidence([call()], runs, writes_lost=[Outage(11.5, 12.5)]))
    assert found(verdict) == {"run_twice": [1]}


# Retries


def test_a_retry_is_not_a_second_run() -> None:
    runs = [run(11.0, failed=12.0), run(13.0, end=14.0, retries=1)]
    assert found(check(evidence([call()], runs))) == {}


def test_a_retry_that_was_not_counted_is_one() -> None:
    runs = [run(11.0, failed=12.0), run(13.0, end=14.0, retries=0)]
    assert check(evidence([call()], runs)).not_in_flight == [1]


def test_a_retry_spent_on_nothing() -> None:
    runs = [run(11.0), run(22.0, end=23.0, retries=1, pid=OTHER)]
    verdict = check(evidence([call()], runs, losses=killed(11.5)))
    assert found(verdict) == {"run_twice": [1], "retries_misspent": [1]}


def test_a_first_attempt_told_of_a_failure() -> None:
    assert found(check(evidence([call()], [run(11.0, end=12.0, retries=1)]))) == {
        "retries_misspent": [1]
    }


# Dead


def test_given_up_before_the_last_attempt() -> None:
    calls = [call(expected="dead:failed")]
    remains = Remains(dead={1: "failed"})
    both = [run(11.0, failed=12.0), run(13.0, failed=14.0, retries=1)]
    assert found(check(evidence(calls, both, remains=remains))) == {}
    assert found(check(evidence(calls, both[:1], remains=remains))) == {"given_up_early": [1]}


@pytest.mark.parametrize("reason", ["failed", "worker_lost", "malformed"])
def test_condemned(reason: str) -> None:
    remains = Remains(dead={1: reason})
    runs = [run(11.0)]
    assert found(check(evidence([call()], runs, remains=remains))) == {"condemned": [1]}
    assert found(check(evidence([call()], remains=remains))) == {"condemned": [1]}


def test_not_condemned_where_its_last_attempt_lost_its_worker() -> None:
    remains = Remains(dead={1: "worker_lost"})
    assert found(check(evidence([call()], [run(11.0)], remains=remains, losses=killed(11.5)))) == {}


# The rest


def test_refused_but_run() -> None:
    verdict = check(evidence([call(outcome=REFUSED)], [run(11.0, end=12.0)]))
    assert found(verdict) == {"refused_but_run": [1]}


def test_a_run_without_a_call_is_unknown() -> None:
    assert found(check(evidence([], [run(11.0, end=12.0)]))) == {"unknown": [1]}


def test_left_over_keys() -> None:
    keys = ["fluxqueue:{default}:inbox:x"]
    assert found(check(evidence(remains=Remains(keys=keys)))) == {"keys": keys}


@pytest.mark.parametrize("counted", [0, 2])
def test_settled_twice_or_never(counted: int) -> None:
    remains = Remains(succeeded=counted)
    verdict = check(evidence([call()], [run(11.0, end=12.0)], remains=remains))
    assert found(verdict) == {"settled_wrongly": counted - 1}


def test_overtaken() -> None:
    late, early = call(1), replace(call(2), called=13.0, answered=13.1)
    runs = [run(13.5, end=13.6, number=2), run(13.5 + ORDER_SLACK + 0.1, end=17.0, number=1)]
    assert found(check(evidence([late, early], runs))) == {"overtaken": [1]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"start": 13.5 + ORDER_SLACK - 0.1}, id="begun soon after"),
        pytest.param({"disturbances": [(12.0, 12.5)]}, id="a fault meanwhile"),
        pytest.param({"called": 10.0 + ORDER_SLACK}, id="called soon after"),
    ],
)
def test_not_overtaken(change: dict[str, object]) -> None:
    called = change.pop("called", 13.0)
    start = change.pop("start", 13.5 + ORDER_SLACK + 0.1)
    assert isinstance(called, float) and isinstance(start, float)
    late, early = call(1), replace(call(2), called=called)
    runs = [run(13.5, end=13.6, number=2), run(start, end=17.0, number=1)]
    assert found(check(evidence([late, early], runs, **change))) == {}


@pytest.mark.parametrize(
    ("own", "other", "overtaken"), [(0, 0, True), (5, 0, True), (5, 4, True), (0, 1, False)]
)
def test_only_a_higher_priority_passes(own: int, other: int, overtaken: bool) -> None:
    late = replace(call(1), options=CallOptions(priority=own))
    early = replace(call(2), called=13.0, answered=13.1, options=CallOptions(priority=other))
    runs = [run(13.5, end=13.6, number=2), run(13.5 + ORDER_SLACK + 0.1, end=17.0, number=1)]
    assert check(evidence([late, early], runs)).overtaken == ([1] if overtaken else [])


def test_a_task_with_a_delay_is_not_overtaken() -> None:
    delayed = replace(call(1), options=CallOptions(delay=0.1))
    early = replace(call(2), called=13.0, answered=13.1)
    runs = [run(13.5, end=13.6, number=2), run(13.5 + ORDER_SLACK + 0.1, end=17.0, number=1)]
    assert found(check(evidence([delayed, early], runs))) == {}


# The ledger itself


def test_the_ledger_reads_what_it_wrote(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.called(1, 2)
    ledger.called(3, expected="dead:failed")
    ledger.answered(RETURNED, 1, 2)
    ledger.answered(REFUSED, 3)
    with ledger.run(1):
        pass
    with pytest.raises(RuntimeError), ledger.run(2, retries=1):
        raise RuntimeError
    with ledger.run(2, retries=2):
        history = Ledger(tmp_path / "ledger").history()
    assert {n: (c.outcome, c.expected) for n, c in history.calls.items()} == {
        1: (RETURNED, ENDS),
        2: (RETURNED, ENDS),
        3: (REFUSED, "dead:failed"),
    }
    first, failed, running = history.runs
    assert first.number == 1 and first.end is not None and first.failed is None
    assert failed.retries == 1 and failed.end is None and failed.failed is not None
    assert running.over == float("inf")
    assert history.in_flight(running.pid, running.start) == [running]
    ledger.close()


def test_a_line_that_is_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    ledger = Ledger(file)
    file.write_text("call 1 1 end 10.0 -\nretur")
    assert ledger.history().calls[1].outcome is None
    with file.open("a") as rest:
        rest.write("ned 1 1 10.5\n")
    assert ledger.history().calls[1] == Call(1, ENDS, 10.0, RETURNED, 10.5)
    ledger.close()
