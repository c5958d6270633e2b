"""Each verdict of the chaos suite on locks can fail: ledgers made by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from chaos.application import KINDS, choose
from chaos.checker import check
from chaos.evidence import SETTLING, Evidence, Loss, Remains
from chaos.ledger import ENDS, PRESENT, RETURNED, UNCERTAIN, Call, History, Ledger, Run
from chaos.options import CallOptions, id_of

UNIQUE = CallOptions(key=1)
THROTTLED = CallOptions(key=2, throttle=1.0)
DEBOUNCED = CallOptions(key=3, debounce=0.4)
VICTIM, OTHER = 100, 200


def call(number: int, called: float, options: CallOptions, holder: int | None = None) -> Call:
    """Answered 0.1 s later; by the task `holder` if there is one."""
    if holder is not None:
        made = Call(number, ENDS, called, PRESENT, called + 0.1, options)
        return replace(made, holder=id_of(holder))
    return Call(number, ENDS, called, RETURNED, called + 0.1, options)


def run(number: int, start: float, end: float | None, pid: int = VICTIM) -> Run:
    return Run(number, pid, 0, start, end, token=f"a-{number}")


def found(calls: list[Call], runs: list[Run], **others: object) -> dict[str, object]:
    """All that is not as it should be, but for counters."""
    history = History({call.number: call for call in calls}, runs)
    evidence = replace(Evidence(history, Remains()), **others)  # type: ignore[arg-type]  # fields
    allowed = ("tasks", "settled_wrongly", "counted_wrongly")
    verdict = vars(check(evidence))
    return {name: value for name, value in verdict.items() if value and name not in allowed}


FIRST = call(1, 10.0, UNIQUE)


def test_unique_tasks_one_after_another_are_in_order() -> None:
    calls = [FIRST, call(2, 12.1, UNIQUE), call(3, 11.0, UNIQUE, holder=1)]
    assert found(calls, [run(1, 11.0, 12.0), run(2, 12.2, 13.0)]) == {}


def test_two_unique_tasks_of_one_key_at_once() -> None:
    calls = [FIRST, call(2, 11.1, UNIQUE)]
    runs = [run(1, 11.0, 12.0), run(2, 11.9, 13.0, OTHER)]
    assert found(calls, runs) == {"together": [2]}
    other = replace(UNIQUE, key=4)
    assert found([FIRST, call(2, 11.1, other)], runs) == {}
    assert found(calls, runs, losses=[Loss(VICTIM, 11.5, 11.5)]) == {}


def test_a_unique_task_between_the_attempts_of_another_one() -> None:
    failed = Run(1, VICTIM, 0, 11.0, failed=11.2)
    again = Run(1, VICTIM, 1, 12.0, 12.1)
    calls = [FIRST, call(2, 11.3, UNIQUE)]
    assert found(calls, [failed, again, run(2, 11.5, 11.6)]) == {"together": [2]}


def test_a_call_that_was_answered_and_has_run() -> None:
    calls = [FIRST, call(2, 11.0, UNIQUE, holder=1)]
    verdict = found(calls, [run(1, 11.0, 12.0), run(2, 12.5, 13.0)])
    assert verdict == {"refused_but_run": [2]}


@pytest.mark.parametrize(
    ("holder", "called"),
    [
        pytest.param(7, 11.0, id="by a task that no client has called"),
        pytest.param(3, 11.0, id="by a task of another key"),
        pytest.param(4, 11.0, id="by a task that was called later"),
        pytest.param(1, 12.1 + SETTLING, id="by a task that had ended"),
    ],
)
def test_a_call_that_was_answered_wrongly(holder: int, called: float) -> None:
    others = [FIRST, call(3, 10.5, replace(UNIQUE, key=4)), call(4, 15.0, UNIQUE)]
    runs = [run(1, 11.0, 12.0), run(3, 11.0, 12.0), run(4, 15.2, 15.3)]
    calls = [*others, call(2, called, UNIQUE, holder=holder)]
    assert found(calls, runs) == {"answered_wrongly": [2]}
    assert found(calls, runs, clock_jumped=True) == {}


def test_a_throttled_call_keeps_others_out_for_its_time() -> None:
    first = call(1, 10.0, THROTTLED)
    runs = [run(1, 10.2, 10.3), run(2, 11.9, 12.0)]
    in_time = [first, call(2, 11.1, THROTTLED), call(3, 10.9, THROTTLED, holder=1)]
    assert found(in_time, runs) == {}
    assert found([first, call(2, 10.8, THROTTLED)], runs) == {"throttled_wrongly": [2]}
    too_long = [first, call(3, 11.3, THROTTLED, holder=1)]
    assert found(too_long, runs[:1]) == {"answered_wrongly": [3]}


def test_a_debounced_task_is_replaced_by_one_that_runs() -> None:
    calls = [call(1, 10.0, DEBOUNCED), call(2, 10.3, DEBOUNCED)]
    assert found(calls, [run(2, 10.8, 10.9)]) == {}
    assert found(calls, []) == {"lost": [1, 2]}
    # The newest arguments must not be lost.
    assert found(calls, [run(1, 10.8, 10.9)]) == {"lost": [2]}
    uncertain = [calls[0], replace(calls[1], outcome=UNCERTAIN)]
    assert found(uncertain, []) == {}


def test_a_lock_that_is_left_over() -> None:
    calls = [FIRST, call(2, 10.0, THROTTLED)]
    runs = [run(1, 11.0, 12.0), run(2, 11.0, 12.0)]
    for left, is_wrong in ((500, False), (1_001, True), (86_400_000, True), (-1, True)):
        verdict = found(calls, runs, remains=Remains(locks={"ab": left}))
        expected = {"keys": [f"the lock ab for {left} ms"]} if is_wrong else {}
        assert verdict == expected, left


def test_the_ledger_keeps_the_answer_and_the_options(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.called(1, options=DEBOUNCED)
    ledger.called(2, options=THROTTLED)
    ledger.present(2, id_of(1))
    calls = ledger.history().calls
    ledger.close()
    assert (calls[1].options, calls[2].options) == (DEBOUNCED, THROTTLED)
    assert (calls[2].outcome, calls[2].holder) == (PRESENT, id_of(1))


def test_the_load_has_unique_debounced_and_throttled_calls() -> None:
    chance = random.Random(7)
    choices = [choose(chance) for _ in range(2_000)]
    named = [choice.options.named() for choice in choices if choice.options.key]
    assert {"priority", "delay", "result_ttl"} == set().union(*named)
    declared = [kind.declared() for kind in KINDS if kind.keys]
    assert all(given["unique"] == ("key",) for given in declared)
    assert {"debounce", "max_wait", "throttle"} <= set().union(*declared)
    keys = [key for kind in KINDS for key in kind.keys]
    assert len(keys) == len(set(keys))
    assert {choice.options.key for choice in choices} == {0, *keys}
