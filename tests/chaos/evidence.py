"""The evidence that the checker looks at, and its verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ledger import History, Run

# Seconds between the end of a task and the arrival of its outcome in Redis, on an
# overloaded machine.
SETTLING = 0.5
# Seconds between the return of Redis and a worker's new connection.
RECONNECTING = 2.5


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
        counters: all counters of the queue.
        results: id of a task -> ms until its result expires; -1: never.
        locks: digest of a lock -> ms until it ends; -1: never.
    """

    keys: list[str] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    dead: dict[int, str] = field(default_factory=dict)
    succeeded: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    locks: dict[str, int] = field(default_factory=dict)


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
        begun_early: began before its delay was over.
        begun_late: began after its expiry.
        begun_cancelled: began after a cancel was answered by `cancelled`.
        untold: no waiter was told a result that is kept.
        told_wrongly: waiters were told an end that is not its own.
        called_back_wrongly: it is dead and its callback has not run, or the reverse.
        past_limit: began while as many as their limit allows were running.
        past_rate: began when the rate of their limit was used up.
        counted_wrongly: counters of expired and of cancelled tasks that are wrong.
        moments_missed: moments of periodic tasks without a run that has ended.
        overlapping: runs of a periodic task that began beside another, against its option.
        together: of a unique task, ran at the same time as another one of its key.
        answered_wrongly: another task has answered the call, and should not have.
        throttled_wrongly: enqueued although a throttled call before it kept it out.
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
    begun_early: list[int] = field(default_factory=list)
    begun_late: list[int] = field(default_factory=list)
    begun_cancelled: list[int] = field(default_factory=list)
    untold: list[int] = field(default_factory=list)
    told_wrongly: list[int] = field(default_factory=list)
    called_back_wrongly: list[int] = field(default_factory=list)
    past_limit: list[int] = field(default_factory=list)
    past_rate: list[int] = field(default_factory=list)
    counted_wrongly: list[str] = field(default_factory=list)
    moments_missed: list[int] = field(default_factory=list)
    overlapping: list[int] = field(default_factory=list)
    together: list[int] = field(default_factory=list)
    answered_wrongly: list[int] = field(default_factory=list)
    throttled_wrongly: list[int] = field(default_factory=list)
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
        clock_jumped: the clock of Redis did, so that delays, expiries and TTLs are wrong.
        moments: of each periodic task, by its place, its first moment and the one that was next
            when it was removed (ms).
    """

    history: History
    remains: Remains
    losses: list[Loss] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    writes_lost: list[Outage] = field(default_factory=list)
    disturbances: list[tuple[float, float]] = field(default_factory=list)
    attempts: int = 2
    clock_jumped: bool = False
    moments: dict[int, tuple[int, int]] = field(default_factory=dict)


def is_lost(run: Run, evidence: Evidence) -> bool:
    """Whether the attempt was in flight in a worker when that was lost, or its
    outcome was among the lost writes."""
    settled = settled_by(run, evidence.outages)
    losses = [loss for loss in evidence.losses if loss.pid == run.pid]
    windows = [(loss.began, loss.ended) for loss in losses]
    windows += [(lost.began, lost.ended) for lost in evidence.writes_lost]
    return any(run.start <= ended + SETTLING and began <= settled for began, ended in windows)


def settled_by(run: Run, outages: list[Outage]) -> float:
    """When its outcome was in Redis at the latest."""
    settled = run.over + SETTLING
    for outage in sorted(outages, key=lambda outage: outage.began):
        concerned = outage.pids is None or run.pid in outage.pids
        if concerned and outage.began <= settled < outage.ended + RECONNECTING:
            settled = outage.ended + RECONNECTING + SETTLING
    return settled
