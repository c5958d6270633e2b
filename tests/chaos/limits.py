"""The tasks with a limit, and whether no more ran at once, and no more began, than it allows."""

from __future__ import annotations

from typing import Any

from .evidence import Evidence, Verdict, is_lost
from .ledger import Run

# The options of the tasks with a limit, by the number that a call has in the ledger.
AT_ONCE, RATED = 1, 2
LIMITS: dict[int, dict[str, Any]] = {AT_ONCE: {"concurrency": 2}, RATED: {"rate": "4/s"}}
MOST, PER_SECOND = 2, 4
# The part of the workers' module `app` with these tasks.
TASKS = f"""
@fluxqueue.task_with_context(retry_delay=0.5, **{LIMITS[AT_ONCE]})
def limited(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries) as token:
        time.sleep(seconds)
        if ctx.metadata.retries == 0 and number % 5 == 0:
            raise RuntimeError("at first it fails")
    return token

@fluxqueue.task_with_context(**{LIMITS[RATED]})
async def rated(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries) as token:
        await asyncio.sleep(seconds)
    return token
"""
# Seconds between the moment at which a task is handed out and its first line, on an overloaded
# machine.
BEGINNING = 2.0


def check_limits(evidence: Evidence, runs: dict[int, list[Run]], verdict: Verdict) -> None:
    """Adds the tasks that were too many to the verdict."""
    if evidence.writes_lost or evidence.clock_jumped:
        return
    begun: dict[int, list[Run]] = {AT_ONCE: [], RATED: []}
    for number, call in evidence.history.calls.items():
        if call.options.limit:
            begun[call.options.limit] += runs.get(number, [])
    for attempts in begun.values():
        attempts.sort(key=lambda run: run.start)
    verdict.past_limit = _too_many([run for run in begun[AT_ONCE] if not is_lost(run, evidence)])
    # A worker that was stopped begins what it holds when it goes on.
    calm = [run for run in begun[RATED] if not _is_disturbed(run, evidence)]
    verdict.past_rate = _too_fast(calm)


def _is_disturbed(run: Run, evidence: Evidence) -> bool:
    return any(
        began <= run.start <= ended + BEGINNING for began, ended in evidence.disturbances[1:]
    )


def _too_many(attempts: list[Run]) -> list[int]:
    """The tasks that began while as many as the limit allows were running. An attempt that was
    lost with its worker may still run, and is not among these."""
    return [
        run.number
        for at, run in enumerate(attempts)
        if sum(earlier.over > run.start for earlier in attempts[:at]) >= MOST
    ]


def _too_fast(attempts: list[Run]) -> list[int]:
    """The tasks that began when the rate was used up."""
    starts = [run.start for run in attempts]
    found = []
    for last, run in enumerate(attempts):
        counts = (
            last - first + 1 - (1 + (run.start - starts[first] + BEGINNING) * PER_SECOND)
            for first in range(last)
        )
        if max(counts, default=0) > 0:
            found.append(run.number)
    return found
