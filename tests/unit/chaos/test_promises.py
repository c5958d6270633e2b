"""Each verdict of the chaos suite on the options of calls can fail: ledgers made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chaos.application import choose
from chaos.checker import check
from chaos.evidence import RECONNECTING, Evidence, Loss, Outage, Remains
from chaos.ledger import RETURNED, UNCERTAIN, Call, History, Ledger, Run
from chaos.options import BRIEF, LONG, NONE, CallOptions, id_of
from chaos.promises import BEGINNING

KEPT = CallOptions(result_ttl=LONG)
Tales = list[tuple[str, str]]


def call(options: CallOptions, expected: str = "end", **fields: object) -> Call:
    """Task 1, called at 10.0, answered at 10.1."""
    made = Call(1, expected, 10.0, RETURNED, 10.1, options)
    return replace(made, **fields)  # type: ignore[arg-type]  # the names of its fields


def run(start: float, end: float | None = None, number: int = 1, **fields: object) -> Run:
    made = Run(number, 100, 0, start, end, token="a-1")
    return replace(made, **fields)  # type: ignore[arg-type]  # the names of its fields


def found(
    calls: Call,
    runs: list[Run] | None = None,
    told: Tales | None = None,
    seen: set[str] | None = None,
    **others: object,
) -> dict[str, object]:
    """All that is not as it should be, but for the counter of successes and what is allowed."""
    history = History({1: calls}, runs or [], {1: told} if told else {}, {1: seen} if seen else {})
    # The counters fit, unless the remains are given.
    counters = {state: 1 for state, _ in told or []}
    evidence = Evidence(history, Remains(counters=counters))
    evidence = replace(evidence, **others)  # type: ignore[arg-type]  # the names of its fields
    verdict = check(evidence)
    allowed = ("tasks", "settled_wrongly", "run_twice")
    return {name: value for name, value in vars(verdict).items() if value and name not in allowed}


def test_a_result_that_was_told_is_in_order() -> None:
    assert found(call(KEPT), [run(11.0, 12.0)], [("succeeded", "a-1")], {"a-1"}) == {}


def test_a_result_that_no_waiter_was_told() -> None:
    assert found(call(KEPT), [run(11.0, 12.0)]) == {"untold": [1]}
    brief = CallOptions(result_ttl=BRIEF)
    assert found(call(brief), [run(11.0, 12.0)]) == {}
    assert found(call(KEPT, outcome=UNCERTAIN), [run(11.0, 12.0)]) == {}


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([("succeeded", "a-2")], id="of an attempt that is not its own"),
        pytest.param([("succeeded", "a-1"), ("succeeded", "a-3")], id="two results"),
        pytest.param([("succeeded", "a-1"), ("failed", "-")], id="two ends"),
        pytest.param([("cancelled", "-")], id="a cancel that no client asked for"),
        pytest.param([("expired", "-")], id="an expiry that no client asked for"),
        pytest.param([("failed", "-")], id="a death that did not come"),
        pytest.param([("timeout", "-")], id="no result in time"),
        pytest.param([("succeeded", "a-1"), ("progress", "after-the-end")], id="late progress"),
    ],
)
def test_told_wrongly(told: Tales) -> None:
    other = run(11.0, 12.5, token="a-3")
    lost = [Loss(100, 11.0, 12.0)]
    verdict = found(call(KEPT), [run(11.0, 12.0), other], told, losses=lost)
    assert verdict["told_wrongly"] == [1]


def test_a_result_of_a_task_that_keeps_none() -> None:
    assert found(call(NONE), [run(11.0, 12.0)], [("succeeded", "a-1")]) == {"told_wrongly": [1]}


def test_a_result_of_an_attempt_that_did_not_end() -> None:
    verdict = found(call(KEPT), [run(11.0)], [("succeeded", "a-1")])
    assert verdict["told_wrongly"] == [1]


def test_progress_of_another_task() -> None:
    verdict = found(call(KEPT), [run(11.0, 12.0)], [("succeeded", "a-1")], {"a-9"})
    assert verdict == {"told_wrongly": [1]}


def test_the_result_of_a_dead_task_is_its_reason() -> None:
    dead = Remains(dead={1: "failed"})
    runs = [run(11.0, failed=12.0), run(13.0, failed=14.0, retries=1)]
    doomed = call(KEPT, "dead:failed")
    assert found(doomed, runs, [("failed", "-")], remains=dead) == {}
    verdict = found(doomed, runs, [("worker_lost", "-")], remains=dead)
    assert verdict == {"told_wrongly": [1]}


def test_begun_before_its_delay_was_over() -> None:
    delayed = call(CallOptions(delay=2.0))
    assert found(delayed, [run(12.01, 13.0)]) == {}
    assert found(delayed, [run(11.9, 13.0)]) == {"begun_early": [1]}
    assert found(delayed, [run(11.9, 13.0)], clock_jumped=True) == {}


EXPIRING = CallOptions(expires=1.0, result_ttl=LONG)


def test_begun_after_its_expiry() -> None:
    late = 11.1 + BEGINNING + 0.1
    told = [("succeeded", "a-1")]
    assert found(call(EXPIRING), [run(11.0, 12.0)], told) == {}
    assert found(call(EXPIRING), [run(late, 15.0)], told) == {"begun_late": [1]}
    stopped = [Outage(10.5, late - RECONNECTING, (100,))]
    assert found(call(EXPIRING), [run(late, 15.0)], told, outages=stopped) == {}
    other = [Outage(10.5, late - RECONNECTING, (200,))]
    assert found(call(EXPIRING), [run(late, 15.0)], told, outages=other) == {"begun_late": [1]}


def test_a_retry_that_began_after_the_expiry() -> None:
    late = run(11.1 + BEGINNING + 0.1, 15.0, retries=1)
    verdict = found(call(EXPIRING), [run(10.5, failed=10.6), late], [("succeeded", "a-1")])
    assert verdict == {"begun_late": [1]}


def test_an_expired_task_is_not_lost() -> None:
    assert found(call(EXPIRING), [], [("expired", "-")]) == {}
    assert found(call(EXPIRING)) == {"lost": [1], "untold": [1]}


def test_begun_after_a_cancel() -> None:
    fields: dict[str, Any] = {"cancelling": 10.2, "cancelled": 10.4}
    sure = call(KEPT, verdict="cancelled", **fields)
    told = [("cancelled", "-")]
    assert found(sure, [], told) == {}
    assert found(sure, [run(10.3, stopped=10.5)], told) == {}
    assert found(sure, [run(10.5, stopped=10.6)], told) == {"begun_cancelled": [1]}
    lost = [Loss(100, 10.0, 11.0)]
    assert found(sure, [run(10.5, stopped=10.6)], told, losses=lost) == {}
    running = call(KEPT, verdict="requested", **fields)
    assert found(running, [run(10.5, stopped=10.6)], told) == {}


def test_a_task_that_puts_itself_off_runs_again() -> None:
    runs = [run(11.0, off=11.1), run(12.0, off=12.1), run(13.0, 13.1)]
    assert found(call(NONE), runs) == {}
    counted = [run(11.0, off=11.1), run(12.0, 12.1, retries=1)]
    verdict = found(call(NONE), counted)
    assert verdict == {"not_in_flight": [1], "retries_misspent": [1]}


def test_callbacks_are_as_many_as_deaths() -> None:
    doomed = call(CallOptions(calls_back=True), "dead:failed")
    failures = [run(11.0, failed=12.0), run(13.0, failed=14.0, retries=1)]
    dead = Remains(dead={1: "failed"})
    told = run(15.0, 15.1, number=-1)
    assert found(doomed, [*failures, told], remains=dead) == {}
    assert found(doomed, failures, remains=dead) == {"called_back_wrongly": [1]}
    begun = run(15.0, number=-1)
    assert found(doomed, [*failures, begun], remains=dead) == {"called_back_wrongly": [1]}
    verdict = found(doomed, [*failures, told, run(16.0, 16.1, number=-1)], remains=dead)
    assert verdict == {"not_in_flight": [-1]}
    verdict = found(call(NONE), [run(11.0, 12.0), told])
    assert verdict == {"called_back_wrongly": [1]}


def test_results_stay_for_their_time_only() -> None:
    def left(ttl: int, options: CallOptions = KEPT, task_id: str = id_of(1)) -> object:
        remains = Remains(results={task_id: ttl})
        told = [("succeeded", "a-1")]
        return found(call(options), [run(11.0, 12.0)], told, remains=remains).get("keys")

    assert left(int(LONG * 1000)) is None
    assert left(-1) == ["the result of task 1 for -1 ms"]
    assert left(int(LONG * 1000) + 1) == ["the result of task 1 for 86400001 ms"]
    assert left(1, NONE) == [f"the result of {id_of(1)}, which no call asked for"]
    assert left(1, KEPT, id_of(2)) == [f"the result of {id_of(2)}, which no call asked for"]


@pytest.mark.parametrize("counted", [0, 2])
def test_an_end_that_was_counted_twice_or_never(counted: int) -> None:
    remains = Remains(counters={"expired": counted})
    verdict = found(call(EXPIRING), [], [("expired", "-")], remains=remains)
    assert verdict == {"counted_wrongly": [f"expired: {counted}, and 1 to 1 are"]}


def settled(succeeded: int, calls: Call, runs: list[Run], told: Tales) -> int:
    history = History({1: calls}, runs, {1: told} if told else {})
    return check(Evidence(history, Remains(succeeded=succeeded))).settled_wrongly


def test_an_attempt_that_has_ended_may_be_cancelled_still() -> None:
    cancelled = call(KEPT, cancelling=11.5, verdict="requested", cancelled=11.6)
    runs = [run(11.0, 12.0)]
    assert [settled(n, cancelled, runs, []) for n in range(3)] == [0, 0, 1]
    assert [settled(n, cancelled, runs, [("cancelled", "-")]) for n in range(3)] == [0, 1, 2]
    assert [settled(n, call(NONE), runs, []) for n in range(3)] == [-1, 0, 1]


def test_options_pass_through_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    options = CallOptions(5, 0.25, 1.5, LONG, calls_back=True)
    ledger.called(1, 2, "dead:failed", options)
    ledger.called(3)
    ledger.cancelling(3)
    ledger.cancelled(3, "requested")
    ledger.told(1, "succeeded", "7-1")
    ledger.saw(1, "7-1")
    ledger.waits()
    history = ledger.history()
    assert [history.calls[n].options for n in (1, 2, 3)] == [options, options, NONE]
    assert history.calls[3].verdict == "requested" and history.calls[3].may_not_run
    assert history.told == {1: [("succeeded", "7-1")]} and history.seen == {1: {"7-1"}}
    assert len(history.waiters) == 1
    ledger.close()


def test_an_attempt_that_is_put_off_or_stopped_is_over(tmp_path: Path) -> None:
    class Snooze(Exception):
        pass

    ledger = Ledger(tmp_path / "ledger")
    with pytest.raises(Snooze), ledger.run(1):
        raise Snooze
    with pytest.raises(KeyboardInterrupt), ledger.run(2) as token:
        raise KeyboardInterrupt
    off, stopped = ledger.history().runs
    assert off.off == off.over and off.failed is None
    assert stopped.stopped == stopped.over and stopped.token == token
    ledger.close()


def test_every_option_is_chosen_and_what_may_not_run_is_kept() -> None:
    import random

    chance = random.Random(7)
    choices = [choose(chance) for _ in range(2_000)]
    for name in ("priority", "delay", "expires", "result_ttl", "calls_back"):
        share = sum(bool(getattr(choice.options, name)) for choice in choices) / len(choices)
        assert 0.01 < share < 0.7, name
    ending = [choice for choice in choices if choice.cancels or choice.options.expires]
    assert len(ending) > 200
    assert all(choice.options.is_awaited for choice in ending)
    assert any(choice.options == NONE for choice in choices)
