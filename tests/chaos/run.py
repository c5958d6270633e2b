"""One run: a stack under load, a fault once or several times, the check.

python -m chaos.run FAULT SEED TRIALS FOLDER    # prints a `Result` as JSON

Why: docs/decisions/0024-chaos-in-fresh-stacks-with-default-settings.md
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import sys
import traceback
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fluxqueue_core import key
from support.lateness import Lateness
from support.waiting import wait_until

from .application import ATTEMPTS_OF_DOOMED
from .checker import check
from .evidence import Evidence, Verdict
from .fault import Fault
from .faults import load
from .ledger import ENDS, RETURNED, now
from .moments import are_up_to_date, read_next, unschedule
from .recovery import Elsewhere, Recovery
from .remains import read_remains, waiting
from .stack import QUEUE, Stack

# Seconds between two looks at the ledger, which cost something.
INTERVAL = 0.05
# Seconds that all tasks may take to come to their ends once the clients are gone.
LAST_PATIENCE = 90.0
# And that a waiter may take to be told the last results.
TELLING = 30.0
# And that the lease of a worker that is gone may take to end.
LEASES_END = 30.0


@dataclass
class Result:
    """The result of one run.

    Attributes:
        trials: how often the fault was done.
        recoveries: seconds, one per trial.
        violations: a line for each thing that is not as it should be.
    """

    fault: str
    seed: int
    trials: int = 0
    recoveries: list[float] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    violations: list[str] = field(default_factory=list)


def run(name: str, seed: int, trials: int, folder: Path) -> Result:
    """Makes the run; never raises for what goes wrong in it."""
    fault = load(name)
    result = Result(name, seed)
    # The same decisions for the same seed, whatever other faults there are.
    chance = random.Random(f"{name} {seed}")
    try:
        with Lateness(now) as lateness, Stack(folder, fault.setup, chance) as stack:
            # Clients call before all workers have started: this is not an order to check.
            disturbances: list[tuple[float, float]] = [(0.0, now())]
            for _ in range(trials):
                disturbances.append(_trial(fault, stack, chance, result, lateness))
            result.verdict = _check(stack, disturbances)
            result.violations += stack.violations
        result.violations += result.verdict.violations()
    except Exception:  # noqa: BLE001 - whatever it is, it is the result
        result.violations.append(f"the run broke off: {traceback.format_exc()}")
    return result


def _trial(
    fault: Fault, stack: Stack, chance: random.Random, result: Result, lateness: Lateness
) -> tuple[float, float]:
    pause = now() + chance.uniform(0.2, 1.2)
    wait_until(lambda: now() >= pause)
    began = now()
    recovery = fault.inject(stack, chance)
    result.trials += 1
    seconds = _recover(recovery, stack, fault.limit)
    result.recoveries.append(round(seconds, 3))
    late, behind = lateness.waking(began), 0.0
    if isinstance(recovery, Elsewhere):
        # Tasks with a priority go first, even if this machine can't run all that come.
        behind = recovery.behind(stack.ledger.history(), fault.limit)
    if seconds > fault.limit + late + behind:
        text = f"recovery took {seconds:.1f} s, more than {fault.limit:g} s (and {late:.1f} s "
        text += f"for a machine that is late, {behind:.1f} s behind tasks that go first)"
        result.violations.append(text)
    return began, now()


def _recover(recovery: Recovery, stack: Stack, limit: float) -> float:
    found: list[float] = []

    def recovered() -> bool:
        stack.check_alive()
        seconds = recovery.seconds(stack.ledger.history())
        if seconds is not None:
            found.append(seconds)  # 0.0 is a time as well
        return bool(found)

    wait_until(recovered, timeout=limit + 60, what=f"recovery ({recovery})", interval=INTERVAL)
    return found[0]


def _check(stack: Stack, disturbances: list[tuple[float, float]]) -> Verdict:
    """Lets everything come to its end and compares."""
    # A process that has just started may not handle SIGTERM yet.
    stack.wait_until_steady()
    for client in list(stack.clients):
        stack.stop(client)
    moments = _end_moments(stack)
    unfinished = ""
    try:
        wait_until(lambda: _all_ended(stack), timeout=LAST_PATIENCE, interval=INTERVAL)
    except AssertionError:
        unfinished = f"not all tasks came to their ends in {LAST_PATIENCE:g} s"
    # Results that are missing are in the verdict.
    with contextlib.suppress(AssertionError):
        wait_until(lambda: _all_told(stack), timeout=TELLING, interval=INTERVAL)
    for waiter in list(stack.waiters):
        stack.stop(waiter)
    for worker in list(stack.workers):
        stack.stop(worker)
    # A worker that was killed while it held nothing has its lease still.
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not stack.admin(_living), LEASES_END, interval=INTERVAL)
    for scheduler in list(stack.schedulers):
        stack.stop(scheduler)
    evidence = Evidence(
        history=stack.ledger.history(),
        remains=stack.admin(lambda client: read_remains(client, QUEUE)),
        losses=stack.losses,
        outages=stack.outages,
        writes_lost=stack.writes_lost,
        disturbances=disturbances,
        attempts=ATTEMPTS_OF_DOOMED,
        clock_jumped=stack.clock_jumped,
        moments=moments,
    )
    if unfinished:
        stack.violations.append(unfinished)
    return check(evidence)


def _end_moments(stack: Stack) -> dict[int, tuple[int, int]]:
    """Removes the periodic tasks, once all their moments so far have come. Returns the first
    moment of each, and the one that was next."""
    wait_until(
        lambda: stack.admin(lambda client: are_up_to_date(client, QUEUE)),
        LAST_PATIENCE,
        what="the moments of periodic tasks",
        interval=INTERVAL,
    )
    following = stack.admin(lambda client: read_next(client, QUEUE))
    unschedule(stack.server.url, QUEUE)
    return {
        place: (first, following.get(place, first)) for place, first in stack.first_moments.items()
    }


def _living(client: Any) -> int:
    """How many consumers have no tombstone."""
    return int(client.zcount(key("consumers", QUEUE), 0, "+inf"))


def _all_ended(stack: Stack) -> bool:
    """Whether Redis holds no task that is neither done nor dead, and no task of
    a call that returned is still to come."""
    stack.check_alive()
    if stack.admin(lambda client: waiting(client, QUEUE)):
        return False
    history = stack.ledger.history()
    ended = {run.number for run in history.runs if run.end is not None}
    # The last attempt of a cancelled task may have been lost with its worker.
    ended |= history.told.keys()
    wanted = {
        call.number
        for call in history.calls.values()
        if call.outcome == RETURNED and call.expected == ENDS
    }
    if stack.writes_lost:
        return True
    return not any(run.over == float("inf") for run in history.runs if run.number in wanted - ended)


def _all_told(stack: Stack) -> bool:
    """Whether the waiters were told all results that calls asked for."""
    stack.check_alive()
    if stack.writes_lost:
        return True
    history = stack.ledger.history()
    return all(
        call.number in history.told
        for call in history.calls.values()
        if call.outcome == RETURNED and call.options.is_awaited
    )


def main() -> None:
    name, seed, trials, folder = sys.argv[1:]
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    # The end of the driver is the end of the run, and of all that it has started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    with ExitStack() as stack:
        result = run(name, int(seed), int(trials), place)
        if not result.violations:
            stack.callback(shutil.rmtree, place, ignore_errors=True)
        print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
