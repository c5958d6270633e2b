"""Compares what the options of calls promise with what happened: delays, expiries, cancels,
results and callbacks."""

from __future__ import annotations

from collections.abc import Iterable

from .evidence import RECONNECTING, Evidence, Verdict, is_lost
from .ledger import RETURNED, Call, History, Run
from .options import id_of

# Seconds from the decision of a worker to begin a task to the first line of the task.
BEGINNING = 2.0
# Seconds by which two clocks of one machine disagree.
CLOCKS = 0.005
# The ends of the dead set that call nothing back.
SILENT = ("duplicate", "unknown_version")
# The ends that a caller allows: the words of waiters, and of the counters.
ALLOWED = ("cancelled", "expired")


def check_promises(evidence: Evidence, runs: dict[int, list[Run]], verdict: Verdict) -> None:
    """Adds what is wrong to the verdict."""
    for number, call in sorted(evidence.history.calls.items()):
        attempts = runs.get(number, [])
        _check_begins(call, attempts, evidence, verdict)
        if not evidence.writes_lost:
            _check_told(call, attempts, evidence, verdict)
            _check_callback(call, runs, evidence, verdict)
    verdict.keys += _wrong_results(evidence)
    if not evidence.writes_lost:
        verdict.counted_wrongly = _wrong_counters(evidence)


def callbacks_of(numbers: Iterable[int]) -> set[int]:
    """The numbers under which the callbacks of these tasks run."""
    return {-number for number in numbers}


def ended_as_told(history: History, number: int) -> bool:
    """Whether a waiter was told that the task has ended as its caller allowed it to: it was
    cancelled, or has expired."""
    return any(state in ALLOWED for state, _ in history.told.get(number, []))


def successes(history: History, runs: dict[int, list[Run]]) -> tuple[int, int]:
    """The least and the most tasks that Redis can have counted as successes.

    An attempt that has come to its last line may still be cancelled, and one whose worker was
    lost then may expire. If no waiter was told, it is not known.
    """
    sure = unclear = 0
    for number, attempts in runs.items():
        call = history.calls.get(number)
        states = {state for state, _ in history.told.get(number, [])}
        if states:
            sure += states == {"succeeded"}
        elif any(run.end for run in attempts):
            if call is not None and call.may_not_run:
                unclear += 1
            else:
                sure += 1
    return sure, sure + unclear


def _check_begins(call: Call, attempts: list[Run], evidence: Evidence, verdict: Verdict) -> None:
    if not attempts:
        return
    options = call.options
    if not evidence.clock_jumped:
        if options.delay and attempts[0].start < call.called + options.delay - CLOCKS:
            verdict.begun_early.append(call.number)
        if any(_is_late(call, run, evidence) for run in attempts):
            verdict.begun_late.append(call.number)
    if call.verdict == "cancelled" and not evidence.writes_lost:
        assert call.cancelled is not None
        begun = [run for run in attempts if run.start > call.cancelled]
        if any(not is_lost(run, evidence) for run in begun):
            verdict.begun_cancelled.append(call.number)


def _is_late(call: Call, run: Run, evidence: Evidence) -> bool:
    """Whether an attempt began after the expiry. A worker that was stopped between its decision
    and the first line is not at fault."""
    if not call.options.expires or call.outcome != RETURNED or call.answered is None:
        return False
    expired = call.answered + call.options.expires
    if run.start <= expired + BEGINNING or is_lost(run, evidence):
        return False
    return not any(
        outage.began <= run.start and outage.ended + RECONNECTING >= expired
        for outage in evidence.outages
        if outage.pids is None or run.pid in outage.pids
    )


def _check_told(call: Call, attempts: list[Run], evidence: Evidence, verdict: Verdict) -> None:
    history, number = evidence.history, call.number
    told = history.told.get(number, [])
    are_true = all(_is_true(call, attempts, evidence, one) for one in told)
    is_seen = history.seen.get(number, set()) <= {run.token for run in attempts}
    # A waiter that was started again was told it again, and in the same way.
    if not are_true or not is_seen or len(set(told)) > 1:
        verdict.told_wrongly.append(number)
    if not told and call.options.is_awaited and call.outcome == RETURNED:
        verdict.untold.append(number)


def _is_true(call: Call, attempts: list[Run], evidence: Evidence, told: tuple[str, str]) -> bool:
    state, token = told
    reason = evidence.remains.dead.get(call.number)
    if not call.options.result_ttl:
        return False
    if state == "succeeded":
        ended = {run.token for run in attempts if run.end is not None}
        return reason is None and token in ended
    if state == "cancelled":
        return reason is None and call.cancelling is not None
    if state == "expired":
        return reason is None and call.options.expires > 0
    return reason == state


def _check_callback(
    call: Call, runs: dict[int, list[Run]], evidence: Evidence, verdict: Verdict
) -> None:
    reason = evidence.remains.dead.get(call.number)
    expected = call.options.calls_back and reason is not None and reason not in SILENT
    called = runs.get(-call.number, [])
    if expected != any(run.end is not None for run in called) or (called and not expected):
        verdict.called_back_wrongly.append(call.number)


def _wrong_results(evidence: Evidence) -> list[str]:
    """The results that no call asked for, and those that stay for longer than it asked."""
    calls = evidence.history.calls.values()
    kept = {id_of(call.number): call for call in calls if call.options.result_ttl}
    wrong = []
    for task_id, left in sorted(evidence.remains.results.items()):
        if task_id not in kept:
            wrong.append(f"the result of {task_id}, which no call asked for")
        elif left < 0 or (
            left > kept[task_id].options.result_ttl * 1000 and not evidence.clock_jumped
        ):
            wrong.append(f"the result of task {kept[task_id].number} for {left} ms")
    return wrong


def _wrong_counters(evidence: Evidence) -> list[str]:
    history, wrong = evidence.history, []
    for state in ALLOWED:
        told = {n for n, tales in history.told.items() if any(one[0] == state for one in tales)}
        unclear = [
            call.number
            for call in history.calls.values()
            if call.may_not_run and call.number not in history.told
        ]
        counted = evidence.remains.counters.get(state, 0)
        if not len(told) <= counted <= len(told) + len(unclear):
            wrong.append(f"{state}: {counted}, and {len(told)} to {len(told) + len(unclear)} are")
    return wrong
