"""Compares the calls with the runs and with what is left in Redis.

It uses no process and no Redis, so tests can give it an invented history for each
verdict.
"""

from __future__ import annotations

from .evidence import Evidence, Verdict, is_lost
from .ledger import ENDS, PRESENT, REFUSED, RETURNED, Call, Run
from .limits import check_limits
from .locks import check_locks, is_replaced
from .moments import check_moments, is_moment
from .promises import callbacks_of, check_promises, ended_as_told, successes

# Seconds by which a task may begin later than a task that was called after it.
ORDER_SLACK = 2.0
# How many there are, from 0 on.
PRIORITIES = 10


def check(evidence: Evidence) -> Verdict:
    """The verdict; see its attributes."""
    history, remains = evidence.history, evidence.remains
    runs = history.by_number()
    verdict = Verdict(tasks=len(history.calls), keys=list(remains.keys))
    for number, call in sorted(history.calls.items()):
        attempts = runs.get(number, [])
        if call.outcome in (REFUSED, PRESENT) and attempts:
            verdict.refused_but_run.append(number)
        if call.outcome == RETURNED and not _came_to_its_end(call, runs, evidence):
            lost = verdict.lost_by_redis if _may_be_gone(call, evidence) else verdict.lost
            lost.append(number)
        if number in remains.dead:
            _check_dead(call, attempts, evidence, verdict)
    of_clients = {number for number in runs if not is_moment(number)}
    verdict.unknown = sorted(of_clients - history.calls.keys() - callbacks_of(history.calls))
    for number, attempts in sorted(runs.items()):
        _check_repetitions(number, attempts, evidence, verdict)
    verdict.overtaken = _overtaken(evidence, runs)
    check_promises(evidence, runs, verdict)
    check_limits(evidence, runs, verdict)
    check_moments(evidence, runs, verdict)
    check_locks(evidence, runs, verdict)
    if not evidence.writes_lost:
        least, most = successes(history, runs)
        verdict.settled_wrongly = remains.succeeded - min(max(remains.succeeded, least), most)
    return verdict


def _came_to_its_end(call: Call, runs: dict[int, list[Run]], evidence: Evidence) -> bool:
    remains, attempts = evidence.remains, runs.get(call.number, [])
    if call.number in remains.waiting:
        return False
    if call.options.debounce and not attempts:
        return is_replaced(call, evidence.history, runs)
    if ended_as_told(evidence.history, call.number):
        return True
    if call.expected == ENDS:
        # A task that is dead by mistake is reported as `condemned`. It is not lost.
        return any(run.end is not None for run in attempts) or call.number in remains.dead
    return call.expected == f"dead:{remains.dead.get(call.number)}"


def _may_be_gone(call: Call, evidence: Evidence) -> bool:
    return any(
        lost.began <= (call.answered or call.called) and call.called <= lost.ended
        for lost in evidence.writes_lost
    )


def _check_dead(call: Call, attempts: list[Run], evidence: Evidence, verdict: Verdict) -> None:
    reason = evidence.remains.dead[call.number]
    failures = sum(run.failed is not None for run in attempts)
    if call.expected == f"dead:{reason}":
        if reason == "failed" and failures < evidence.attempts:
            verdict.given_up_early.append(call.number)
    elif not (reason == "worker_lost" and attempts and is_lost(attempts[-1], evidence)):
        verdict.condemned.append(call.number)


def _check_repetitions(
    number: int, attempts: list[Run], evidence: Evidence, verdict: Verdict
) -> None:
    unexplained = repeated = False
    failures = 0
    for earlier, later in zip([None, *attempts], attempts, strict=False):
        if later.retries > failures:
            verdict.retries_misspent.append(number)
        failures += later.failed is not None
        if earlier is None:
            continue
        if earlier.failed is not None and later.retries > earlier.retries:
            continue  # a retry
        if earlier.off is not None and later.retries == earlier.retries:
            continue  # it has put itself off
        repeated = True
        unexplained |= not (is_lost(earlier, evidence) or is_lost(later, evidence))
    if repeated:
        verdict.run_twice.append(number)
    if unexplained:
        verdict.not_in_flight.append(number)


def _overtaken(evidence: Evidence, runs: dict[int, list[Run]]) -> list[int]:
    """A queue is first in, first out as to when tasks are claimed, and a task of a lower priority
    passes none. Among equal priorities above 0 the clocks of the clients decide, so these are not
    compared. Nor is a task with a delay, which also waits for a scheduler, or with a limit.
    """
    calls = evidence.history.calls
    begun = sorted(
        (attempts[0].start, number) for number, attempts in runs.items() if number in calls
    )
    found: list[int] = []
    # For each priority: (start, latest call so far) of the tasks that may not pass it. From the
    # last start to the first: how early was something called that began before? So each task
    # needs one comparison.
    earlier: list[list[tuple[float, float]]] = [[] for _ in range(PRIORITIES)]
    for start, number in begun:
        call = calls[number]
        answered = call.answered if call.answered is not None else float("inf")
        priority = call.options.priority
        before = _latest_before(earlier[priority], start - ORDER_SLACK)
        disturbed = any(
            began <= start and call.called <= ended + ORDER_SLACK
            for began, ended in evidence.disturbances
        )
        options = call.options
        waits = options.delay or options.debounce or options.limit
        if before > answered + ORDER_SLACK and not disturbed and not waits:
            found.append(number)
        for other in range(priority + (priority > 0), PRIORITIES):
            latest = earlier[other][-1][1] if earlier[other] else float("-inf")
            earlier[other].append((start, max(latest, call.called)))
    return sorted(found)


def _latest_before(earlier: list[tuple[float, float]], moment: float) -> float:
    """The latest call among the tasks that had begun by then."""
    low, high = 0, len(earlier)
    while low < high:
        middle = (low + high) // 2
        if earlier[middle][0] <= moment:
            low = middle + 1
        else:
            high = middle
    return earlier[low - 1][1] if low else float("-inf")
