"""When the chaos suite takes a fault for overcome."""

from __future__ import annotations

from chaos.ledger import ENDS, REFUSED, RETURNED, Call, History, Run
from chaos.recovery import All, Elsewhere, Flow, Known, Retries

VICTIM, OTHER = 100, 200


def history(calls: list[Call], runs: list[Run]) -> History:
    return History({call.number: call for call in calls}, runs)


def call(number: int, called: float, outcome: str = RETURNED, expected: str = ENDS) -> Call:
    return Call(number, expected, called, outcome, called + 0.1)


def test_work_flows_when_a_task_that_was_called_later_has_ended() -> None:
    calls = [call(1, 9.0), call(2, 10.5)]
    early = Run(1, OTHER, 0, 11.0, 11.5)
    flow = Flow(10.0)
    assert flow.seconds(history(calls, [early])) is None
    assert flow.seconds(history(calls, [early, Run(2, OTHER, 0, 11.0)])) is None
    assert flow.seconds(history(calls, [early, Run(2, OTHER, 0, 11.0, 12.0)])) == 2.0
    refused = [call(2, 10.5, REFUSED)]
    assert flow.seconds(history(refused, [Run(2, OTHER, 0, 11.0, 12.0)])) is None


def test_a_lost_worker_is_made_good_when_all_that_it_ran_has_begun_elsewhere() -> None:
    calls = [call(n, 9.0) for n in (1, 2, 3)]
    runs = [
        Run(1, VICTIM, 0, 9.5),
        Run(2, VICTIM, 0, 9.5),
        Run(3, VICTIM, 0, 9.5, 9.9),  # it had ended
        Run(1, OTHER, 0, 20.0),
        Run(2, VICTIM, 0, 20.5),  # not elsewhere
    ]
    elsewhere = Elsewhere(VICTIM, 10.0)
    assert elsewhere.seconds(history(calls, runs)) is None
    assert elsewhere.seconds(history(calls, [*runs, Run(2, OTHER, 0, 21.0)])) == 11.0


def test_a_lost_worker_that_ran_nothing_is_made_good_when_work_flows() -> None:
    calls = [call(1, 10.5), call(2, 9.0, expected="dead:worker_lost")]
    poison = Run(2, VICTIM, 0, 9.5)
    elsewhere = Elsewhere(VICTIM, 10.0)
    assert elsewhere.seconds(history(calls, [poison])) is None
    assert elsewhere.seconds(history(calls, [poison, Run(1, OTHER, 0, 11.0, 11.5)])) == 1.5


def test_retries_are_made_again_when_one_that_failed_later_has_begun() -> None:
    calls = [call(1, 9.0), call(2, 9.0)]
    before = [Run(1, OTHER, 0, 9.0, failed=9.5), Run(1, OTHER, 1, 10.5)]
    failed = Run(2, OTHER, 0, 10.0, failed=10.2)
    retries = Retries(10.0)
    assert retries.seconds(history(calls, [*before, failed])) is None
    repeated = Run(2, OTHER, 0, 10.5)
    assert retries.seconds(history(calls, [*before, failed, repeated])) is None
    assert retries.seconds(history(calls, [*before, failed, Run(2, OTHER, 1, 11.0)])) == 1.0


def test_the_slowest_of_several_counts() -> None:
    nothing = history([], [])
    assert All((Known(1.0), Known(3.0))).seconds(nothing) == 3.0
    assert All((Known(1.0), Flow(1.0))).seconds(nothing) is None
