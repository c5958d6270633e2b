"""The verdicts of the chaos suite on limits can fail: ledgers made by hand."""

from __future__ import annotations

from chaos.evidence import Evidence, Loss, Outage, Remains, Verdict
from chaos.ledger import RETURNED, Call, History, Run
from chaos.limits import AT_ONCE, BEGINNING, PER_SECOND, RATED, check_limits
from chaos.options import CallOptions


def verdict(limit: int, runs: list[Run], **others: object) -> tuple[list[int], list[int]]:
    """The tasks past the limit, and those past the rate."""
    options = CallOptions(limit=limit)
    calls = {run.number: Call(run.number, "end", 1.0, RETURNED, 1.1, options) for run in runs}
    evidence = Evidence(History(calls, runs), Remains())
    for name, value in others.items():
        setattr(evidence, name, value)
    found = Verdict()
    check_limits(evidence, evidence.history.by_number(), found)
    return found.past_limit, found.past_rate


def run(number: int, start: float, end: float | None = None, pid: int = 100) -> Run:
    return Run(number, pid, 0, start, end)


def test_two_at_once_are_in_order_and_a_third_is_not() -> None:
    two = [run(1, 10.0, 12.0), run(2, 11.0, 13.0)]
    assert verdict(AT_ONCE, [*two, run(3, 12.0, 14.0)]) == ([], [])
    assert verdict(AT_ONCE, [*two, run(3, 11.9, 14.0)]) == ([3], [])
    assert verdict(0, [*two, run(3, 11.9, 14.0)]) == ([], [])


def test_an_attempt_that_was_lost_with_its_worker_does_not_count() -> None:
    runs = [run(1, 10.0, pid=7), run(2, 11.0, 13.0), run(3, 11.5, 14.0)]
    assert verdict(AT_ONCE, runs) == ([3], [])
    assert verdict(AT_ONCE, runs, losses=[Loss(7, 10.5, 11.2)]) == ([], [])
    assert verdict(AT_ONCE, runs, writes_lost=[Outage(10.0, 11.0)]) == ([], [])


def test_more_tasks_than_the_rate_allows_are_found() -> None:
    allowed = int(1 + (0.9 + BEGINNING) * PER_SECOND)
    runs = [run(number, 10.0 + 0.9 * number / (allowed - 1), 12.0) for number in range(allowed)]
    assert verdict(RATED, runs) == ([], [])
    runs.append(run(100, 10.95, 12.0))
    assert verdict(RATED, runs) == ([], [100])
    # The second disturbance is that of a fault.
    assert verdict(RATED, runs, disturbances=[(0.0, 1.0), (9.0, 10.0)]) == ([], [])
