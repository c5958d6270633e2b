"""The periodic tasks of a run: each moment comes once, and none is lost.

They are scheduled before the first scheduler starts, and removed when the clients are gone. A run
of a moment has a number in the ledger that is made of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue_core import key

from .evidence import Evidence, Verdict, is_lost
from .ledger import Run

# The numbers of runs begin here, those of each periodic task at a multiple of it.
FIRST_NUMBER = 10**14
# ms between two moments.
EVERY = 1_000
# By the places in `SCHEDULED`: the runs of the last one may not overlap.
SCHEDULED = ("ticking", "ticking", "alone")
ALONE = 2
# Seconds by which two clocks of one machine disagree.
CLOCKS = 0.005

# Part of the source of the workers' module.
TASKS = """
from chaos.moments import number_of

@fluxqueue.task_with_context()
def ticking(ctx: Context, place):
    with ledger.run(number_of(place, ctx.metadata.task_id), ctx.metadata.retries) as token:
        time.sleep(0.02)
    return token

@fluxqueue.task_with_context(retry_delay=0.5)
def alone(ctx: Context, place):
    number = number_of(place, ctx.metadata.task_id)
    with ledger.run(number, ctx.metadata.retries) as token:
        time.sleep(number // 1_000 % 5 * 0.3)
        if ctx.metadata.retries == 0 and number // 1_000 % 3 == 0:
            raise RuntimeError("at first it fails")
    return token
"""


def number_of(place: int, task_id: str) -> int:
    """Returns the number of a run. Its id begins with the moment."""
    return FIRST_NUMBER * (place + 1) + int(task_id[:8] + task_id[9:13], 16)


def is_moment(number: int) -> bool:
    """Whether a number is that of a run of a periodic task."""
    return number >= FIRST_NUMBER


def schedule(url: str, queue: str) -> None:
    """Schedules all periodic tasks."""
    app = FluxQueue(url)
    for place, name in enumerate(SCHEDULED):
        call = app.task(name=name, queue=queue)(_any).call(place)
        if place == ALONE:
            app.schedule(f"periodic-{place}", call, every=EVERY / 1_000, overlap="skip")
        else:
            app.schedule(f"periodic-{place}", call, every=EVERY / 1_000, catch_up=100, expires=None)
    app.close()


def unschedule(url: str, queue: str) -> None:
    """Removes them."""
    app = FluxQueue(url)
    for place in range(len(SCHEDULED)):
        app.unschedule(f"periodic-{place}", queue=queue)
    app.close()


def read_next(client: Any, queue: str) -> dict[int, int]:
    """Returns the moments that are next, in ms, by the place of the periodic task. If it was
    scheduled a moment ago, its first moment."""
    found = client.zrange(key("periodic:due", queue), 0, -1, withscores=True)
    return {
        int(name.decode().removeprefix("periodic-")): -int(-score // EVERY) * EVERY
        for name, score in found
    }


def are_up_to_date(client: Any, queue: str) -> bool:
    """Whether the next moment of each is still to come."""
    now = client.time()[0] * 1_000
    return int(client.zcount(key("periodic:due", queue), "-inf", now)) == 0


def check_moments(evidence: Evidence, runs: Mapping[int, list[Run]], verdict: Verdict) -> None:
    """Adds what is wrong to the verdict. That no moment comes twice follows from the numbers: two
    tasks with one number are a task that has run twice."""
    if not evidence.writes_lost:
        verdict.overlapping = _overlapping(evidence, runs)
        if not evidence.clock_jumped:
            verdict.moments_missed = _missed(evidence, runs)


def _missed(evidence: Evidence, runs: Mapping[int, list[Run]]) -> list[int]:
    missed = []
    for place, (first, following) in sorted(evidence.moments.items()):
        if place == ALONE:
            continue  # it leaves moments out
        for moment in range(first, following, EVERY):
            number = FIRST_NUMBER * (place + 1) + moment
            has_ended = any(run.end is not None for run in runs.get(number, []))
            if not has_ended and evidence.remains.dead.get(number) != "worker_lost":
                missed.append(number)
    return missed


def _overlapping(evidence: Evidence, runs: Mapping[int, list[Run]]) -> list[int]:
    """The runs that began while another one had not ended. An attempt in a worker that was lost
    may go on while its task is done elsewhere."""
    begin = FIRST_NUMBER * (ALONE + 1)
    times = []
    for number, attempts in runs.items():
        kept = [run.over for run in attempts if not is_lost(run, evidence)]
        if begin <= number < begin + FIRST_NUMBER and kept:
            times.append((min(run.start for run in attempts), max(kept), number))
    found = []
    ended = float("-inf")
    for start, over, number in sorted(times):
        if start < ended - CLOCKS:
            found.append(number)
        ended = max(ended, over)
    return found


def _any(place: int) -> None: ...
