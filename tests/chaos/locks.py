"""Compares what locks promise with what happened: unique, debounced and throttled calls."""

from __future__ import annotations

from itertools import pairwise

from .evidence import Evidence, Verdict, is_lost, settled_by
from .ledger import PRESENT, RETURNED, Call, History, Run
from .options import id_of

# Seconds by which the clock of Redis and the ledger's differ, while nothing changes either.
CLOCKS = 0.05

Runs = dict[int, list[Run]]


def check_locks(evidence: Evidence, runs: Runs, verdict: Verdict) -> None:
    """Adds what is wrong to the verdict."""
    calls = [call for call in evidence.history.calls.values() if call.options.key]
    if not evidence.clock_jumped:
        verdict.keys += _left_over(evidence)
    if evidence.writes_lost or evidence.clock_jumped:
        return
    by_id = {id_of(call.number): call for call in calls}
    for call in calls:
        if call.outcome == PRESENT and not _is_answer(call, by_id.get(call.holder), runs, evidence):
            verdict.answered_wrongly.append(call.number)
    for same in _same(calls).values():
        if same[0].options.throttle:
            verdict.throttled_wrongly += _too_soon(same)
        elif not same[0].options.debounce:
            verdict.together += _together(same, runs, evidence)


def is_replaced(call: Call, history: History, runs: Runs) -> bool:
    """Whether a later call of its key accounts for a debounced task that has not run: it has
    run instead, or it is not known whether it was enqueued."""
    for other in history.calls.values():
        if other is call or other.options.key != call.options.key:
            continue
        is_later = other.answered is None or other.answered >= call.called
        has_run = any(run.end is not None for run in runs.get(other.number, []))
        if is_later and (has_run or other.outcome not in (RETURNED, PRESENT)):
            return True
    return False


def _same(calls: list[Call]) -> dict[int, list[Call]]:
    """The calls that want one lock: no two tasks of the load have a key in common."""
    found: dict[int, list[Call]] = {}
    for call in sorted(calls, key=lambda call: call.called):
        found.setdefault(call.options.key, []).append(call)
    return found


def _is_answer(call: Call, holder: Call | None, runs: Runs, evidence: Evidence) -> bool:
    """Whether this task may have answered the call: it had the lock at some moment of it."""
    if holder is None or holder.options.key != call.options.key or call.answered is None:
        return False
    if holder.called > call.answered:
        return False
    if throttle := call.options.throttle:
        return holder.answered is None or call.called < holder.answered + throttle + CLOCKS
    attempts = runs.get(holder.number, [])
    if not attempts or any(is_lost(run, evidence) for run in attempts):
        return True
    return max(settled_by(run, evidence.outages) for run in attempts) >= call.called


def _too_soon(calls: list[Call]) -> list[int]:
    """Those enqueued within the time of the one before."""
    enqueued = [call for call in calls if call.outcome == RETURNED]
    return [
        later.number
        for earlier, later in pairwise(enqueued)
        if later.answered is not None
        and later.answered + CLOCKS < earlier.called + earlier.options.throttle
    ]


def _together(calls: list[Call], runs: Runs, evidence: Evidence) -> list[int]:
    """Those that began before another one was over, retries included. An attempt whose worker was
    lost may go on beside its rescued task, and so beside the next one."""
    spans = []
    for call in calls:
        attempts = runs.get(call.number, [])
        if attempts and not any(is_lost(run, evidence) for run in attempts):
            over = max(run.over for run in attempts)
            spans.append((attempts[0].start, over, call.number))
    found, latest = [], float("-inf")
    for start, over, number in sorted(spans):
        if start < latest:
            found.append(number)
        latest = max(latest, over)
    return found


def _left_over(evidence: Evidence) -> list[str]:
    """The locks of tasks that have ended. Only its time ends the lock of a throttled call."""
    longest = max((call.options.throttle for call in evidence.history.calls.values()), default=0.0)
    return [
        f"the lock {digest} for {left} ms"
        for digest, left in sorted(evidence.remains.locks.items())
        if not 0 <= left <= longest * 1000
    ]
