"""`fluxqueue workers`: who serves which queue, and what runs there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING

from .answers import (
    DONE,
    add_common,
    add_queues,
    age,
    parser_of,
    print_json,
    print_table,
    queues_of,
    run,
    say,
)

if TYPE_CHECKING:
    from fluxqueue_control.reports import Report
    from fluxqueue_control.servers import Servers
    from fluxqueue_control.workers import Worker

_HEADS = (
    *("queue", "host", "pid", "version", "slots", "claimed", "state", "lease", "memory"),
    "running",
)
# Running tasks that a line shows.
_SHOWN = 2


def main(argv: list[str], prog: str = "fluxqueue workers") -> int:
    """Prints the workers; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Prints the workers of each queue, with how many tasks each holds, how long its lease "
        "still lasts, its memory, and what runs. The last two come from reports, which this "
        "command asks the workers to make for two minutes.",
        "0",
    )
    add_queues(parser)
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        from fluxqueue_control import workers

        names = queues_of(servers, arguments.queues)
        found = [
            (name, worker)
            for name in names
            for worker in workers.scan(servers.of_queue(name), name)
        ]
        if arguments.json:
            for name, worker in found:
                print_json({"queue": name, **_parts(worker)})
        else:
            print_table(_HEADS, [(name, *_row(worker)) for name, worker in found])
        refused = _ask(servers, {name for name, _ in found})
        silent = sum(worker.report is None for _, worker in found)
        if silent:
            why = refused or (
                "a worker reports within a third of its lease from now on, so run this again"
            )
            say(prog, f"without a report yet: {silent} of {len(found)}; {why}")
        return DONE

    return run(prog, arguments, act)


def _ask(servers: Servers, names: Collection[str]) -> str | None:
    """Asks the workers of queues for reports; returns why Redis refused that, if it did."""
    from redis.exceptions import ResponseError

    from fluxqueue_control import stats
    from fluxqueue_control.errors import DENIED, UNAVAILABLE, described

    try:
        for client, some in servers.of_queues(sorted(names)):
            stats.watch(client, some)
    except (ResponseError, *DENIED, *UNAVAILABLE) as error:
        # The workers are printed: a replica or a user who may only read is not an error.
        return f"this command can't ask for one: {described(error)}"
    return None


def _parts(worker: Worker) -> dict[str, object]:
    return {
        "consumer": worker.consumer,
        "state": worker.state,
        "lease_left": round(worker.lease_left, 3),
        "claimed": worker.claimed,
        "identity": dict(worker.identity),
        "report": None if worker.report is None else asdict(worker.report),
    }


def _row(worker: Worker) -> tuple[object, ...]:
    identity = worker.identity
    who = tuple(identity.get(part) for part in ("host", "pid", "version", "slots"))
    left = worker.lease_left
    lease = f"{age(left)} left" if left >= 0 else f"ended {age(-left)} ago"
    return (*who, worker.claimed, worker.state, lease, *_reported(worker.report))


def _reported(report: Report | None) -> tuple[str | None, str | None]:
    """The memory, and what runs for how long: the longest first."""
    if report is None:
        return None, None
    memory = None if report.memory is None else f"{report.memory / (1 << 20):.0f} MiB"
    shown = [f"{task.name} for {age(task.seconds)}" for task in report.tasks[:_SHOWN]]
    if report.running > len(shown):
        shown.append(f"{report.running - len(shown)} more")
    return memory, ", ".join(shown) or "nothing"
