"""When the chaos suite takes a fault for overcome."""

from __future__ import annotations

from dataclasses import replace

from chaos.ledger import ENDS, REFUSED, RETURNED, Call, History, Run
from chaos.options import CallOptions
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


def ranked(number: int, called: float, priority: int) -> Call:
    return replace(call(number, called), options=CallOptions(priority=priority))


def test_a_plain_task_of_a_lost_worker_waits_behind_those_with_a_priority() -> None:
    lost = Run(1, VICTIM, 0, 9.5)
    calls = [call(1, 9.0), ranked(2, 20.0, 5), ranked(3, 21.0, 1), call(4, 20.0)]
    others = [
        Run(2, OTHER, 0, 23.0, 23.1),  # it waits from 20.0 to 23.0
        Run(3, OTHER, 0, 24.0, 24.1),  # and this one from 21.0 to 24.0
        Run(4, OTHER, 0, 26.0, 26.1),  # this one goes after it
    ]
    elsewhere = Elsewhere(VICTIM, 10.0)
    late = history(calls, [lost, *others, Run(1, OTHER, 0, 25.0, 25.5)])
    assert elsewhere.seconds(late) == 15.0
    # Its bound is at 22.0; until 24.0 others went first.
    assert elsewhere.behind(late, 12.0) == 2.0
    in_time = history(calls, [lost, *others, Run(1, OTHER, 0, 21.0, 25.5)])
    assert elsewhere.behind(in_time, 12.0) == 0.0


def test_a_task_with_a_priority_waits_behind_no_lower_one() -> None:
    lost = Run(1, VICTIM, 0, 9.5)
    calls = [ranked(1, 9.0, 5), ranked(2, 20.0, 1), ranked(3, 20.0, 5)]
    runs = [lost, Run(2, OTHER, 0, 24.0), Run(3, OTHER, 0, 22.5), Run(1, OTHER, 0, 25.0)]
    assert Elsewhere(VICTIM, 10.0).behind(history(calls, runs), 12.0) == 0.5


def test_tasks_that_may_end_without_a_run_need_not_begin_elsewhere() -> None:
    lost = [Run(1, VICTIM, 0, 9.5), Run(2, VICTIM, 0, 9.5)]
    calls = [
        replace(call(1, 9.0), cancelling=9.6),
        replace(call(2, 9.0), options=CallOptions(expires=1.0)),
        call(3, 10.5),
    ]
    runs = [*lost, Run(3, OTHER, 0, 11.0, 11.5)]
    assert Elsewhere(VICTIM, 10.0).seconds(history(calls, runs)) == 1.5
