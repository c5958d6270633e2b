"""`fluxqueue workers`: who serves which queue."""

from __future__ import annotations

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
)

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers
    from fluxqueue_control.workers import Worker


def main(argv: list[str], prog: str = "fluxqueue workers") -> int:
    """Prints the workers; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Prints the workers of each queue, with how many tasks each holds and how long its lease "
        "still lasts.",
        "0",
    )
    add_queues(parser)
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        from fluxqueue_control import workers

        found = [
            (name, worker)
            for name in queues_of(servers, arguments.queues)
            for worker in workers.scan(servers.of_queue(name), name)
        ]
        if arguments.json:
            for name, worker in found:
                print_json({"queue": name, **_parts(worker)})
        else:
            heads = (
                "queue",
                "host",
                "pid",
                "version",
                "slots",
                "claimed",
                "state",
                "lease",
                "memory",
            )
            print_table(heads, [(name, *_row(worker)) for name, worker in found])
        return DONE

    return run(prog, arguments, act)


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
    memory = None if worker.report is None else worker.report.memory
    shown = None if memory is None else f"{memory / (1 << 20):.0f} MiB"
    return (*who, worker.claimed, worker.state, lease, shown)
