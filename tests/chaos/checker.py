"""Compares the calls with the runs and with what is left in Redis.

It uses no process and no Redis, so tests can give it an invented history for each
verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .ledger import ENDS, REFUSED, RETURNED, Call, History, Run

# Seconds between the end of a task and the arrival of its outcome in Redis, on an
# overloaded machine.
SETTLING = 0.5
# Seconds between the return of Redis and a worker's new connection.
RECONNECTING = 2.5
# Seconds by which a task may begin later than a task that was called after it.
ORDER_SLACK = 2.0


@dataclass
class Loss:
    """A worker that died, or was kept from Redis for longer than its lease.

    Attributes:
        pid: its process.
        began, ended: the last moment at which it certainly held its lease, and the
            first at which it certainly knew that it had lost it.
    """

    pid: int
    began: float
    ended: float


@dataclass
class Outage:
    """A time in which Redis could not be used: outcomes waited.

    Attributes:
        pids: whose outcomes; None for all.
    """

    began: float
    ended: float
    pids: tuple[int, ...] | None = None


@dataclass
class Remains:
    """The contents of Redis after the last worker has drained.

    Attributes:
        keys: those that the protocol does not let stay.
        waiting: numbers of the tasks that are neither done nor dead.
        dead: number -> the reason.
        succeeded: the counter.
    """

    keys: list[str] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    dead: dict[int, str] = field(default_factory=dict)
    succeeded: int = 0


@dataclass
class Verdict:
    """The numbers of the tasks that are not as they should be.

    `run_twice` is allowed, and so is `lost_by_redis` where Redis was allowed to
    lose what it had acknowledged. All others are violations.

    Attributes:
        lost: a call returned, and the task has neither ended nor died as it should.
        lost_by_redis: the same, where the write itself was lost.
        run_twice: began once more than its failures explain.
        not_in_flight: the same, with no fault that explains it.
        refused_but_run: the call said that nothing was enqueued.
        unknown: no client has called them.
        retries_misspent: an attempt was told of more failures than there were.
        given_up_early: dead as `failed` with fewer failures than it had attempts.
        condemned: dead, though it should have ended, with no lost worker at fault.
        overtaken: began much later than tasks that were called later.
        settled_wrongly: how far the counter of successes is from their number.
        keys: left over in Redis.
    """

    tasks: int = 0
    lost: list[int] = field(default_factory=list)
    lost_by_redis: list[int] = field(default_factory=list)
    run_twice: list[int] = field(default_factory=list)
    not_in_flight: list[int] = field(default_factory=list)
    refused_but_run: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    retries_misspent: list[int] = field(default_factory=list)
    given_up_early: list[int] = field(default_factory=list)
    condemned: list[int] = field(default_factory=list)
    overtaken: list[int] = field(default_factory=list)
    settled_wrongly: int = 0
    keys: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """One line for each kind that is there."""
        allowed = {"tasks", "run_twice", "lost_by_redis"}
        found = []
        for name, value in vars(self).items():
            if name not in allowed and value:
                shown = value[:10] if isinstance(value, list) else value
                count = f" ({len(value)})" if isinstance(value, list) else ""
                found.append(f"{name.replace('_', ' ')}{count}: {shown}")
        return found


@dataclass
class Evidence:
    """All that the checker looks at.

    Attributes:
        losses, outages: what the faults say that they have done.
        writes_lost: times in which Redis has acknowledged what it then lost.
        disturbances: (began, ended) of the faults; outside of them tasks begin
            in the order of their calls.
        attempts: how many attempts a task has that is expected to be dead as `failed`.
    """

    history: History
    remains: Remains
    losses: list[Loss] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    writes_lost: list[Outage] = field(default_factory=list)
    disturbances: list[tuple[float, float]] = field(default_factory=list)
    attempts: int = 2


def check(evidence: Evidence) -> Verdict:
    """The verdict; see its attributes."""
    history, remains = evidence.history, evidence.remains
    runs = history.by_number()
    verdict = Verdict(tasks=len(history.calls), keys=list(remains.keys))
    for number, call in sorted(history.calls.items()):
        attempts = runs.get(number, [])
        if call.outcome == REFUSED and attempts:
            verdict.refused_but_run.append(number)
        if call.outcome == RETURNED and not _came_to_its_end(call, attempts, evidence):
            lost = verdict.lost_by_redis if _may_be_gone(call, evidence) else verdict.lost
            lost.append(number)
        if number in remains.dead:
            _check_dead(call, attempts, evidence, verdict)
    verdict.unknown = sorted(runs.keys() - history.calls.keys())
    for number, attempts in sorted(runs.items()):
        _check_repetitions(number, attempts, evidence, verdict)
    verdict.overtaken = _overtaken(evidence, runs)
    if not evidence.writes_lost:
        succeeded = sum(any(run.end for run in attempts) for attempts in runs.values())
        verdict.settled_wrongly = remains.succeeded - succeeded
    return verdict


def _came_to_its_end(call: Call, attempts: list[Run], evidence: Evidence) -> bool:
    remains = evidence.remains
    if call.number in remains.waiting:
        return False
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
    elif not (reason == "worker_lost" and attempts and _lost(attempts[-1], evidence)):
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
        repeated = True
        unexplained |= not (_lost(earlier, evidence) or _lost(later, evidence))
    if repeated:
        verdict.run_twice.append(number)
    if unexplained:
        verdict.not_in_flight.append(number)


def _lost(run: Run, evidence: Evidence) -> bool:
    """Whether the attempt was in flight in a worker when that was lost, or its
    outcome was among the lost writes."""
    settled = _settled_by(run, evidence.outages)
    losses = [loss for loss in evidence.losses if loss.pid == run.pid]
    windows = [(loss.began, loss.ended) for loss in losses]
    windows += [(lost.began, lost.ended) for lost in evidence.writes_lost]
    return any(run.start <= ended + SETTLING and began <= settled for began, ended in windows)


def _settled_by(run: Run, outages: list[Outage]) -> float:
    """When its outcome was in Redis at the latest."""
    settled = run.over + SETTLING
    for outage in sorted(outages, key=lambda outage: outage.began):
        concerned = outage.pids is None or run.pid in outage.pids
        if concerned and outage.began <= settled < outage.ended + RECONNECTING:
            settled = outage.ended + RECONNECTING + SETTLING
    return settled


def _overtaken(evidence: Evidence, runs: dict[int, list[Run]]) -> list[int]:
    """A queue is first in, first out as to when tasks are claimed."""
    begun = sorted(
        (attempts[0].start, number)
        for number, attempts in runs.items()
        if number in evidence.history.calls
    )
    found: list[int] = []
    # From the last start to the first: how early was something called that
    # began before? So each task needs one comparison.
    latest_call = float("-inf")
    history = evidence.history
    earlier: list[tuple[float, float]] = []  # (start, latest call so far)
    for start, number in begun:
        call = history.calls[number]
        answered = call.answered if call.answered is not None else float("inf")
        before = _latest_before(earlier, start - ORDER_SLACK)
        disturbed = any(
            began <= start and call.called <= ended + ORDER_SLACK
            for began, ended in evidence.disturbances
        )
        if before > answered + ORDER_SLACK and not disturbed:
            found.append(number)
        latest_call = max(latest_call, call.called)
        earlier.append((start, latest_call))
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
