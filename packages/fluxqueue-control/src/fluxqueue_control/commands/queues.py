"""`fluxqueue queues`: how many tasks each queue has, and whether it is served."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from .answers import (
    DONE,
    add_common,
    add_queues,
    parser_of,
    print_json,
    print_table,
    queues_of,
    run,
)

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers

_HEADS = ("queue", "pending", "suspects", "delayed", "claimed", "dead", "paused")


def main(argv: list[str], prog: str = "fluxqueue queues") -> int:
    """Prints the queues; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Prints how many tasks each queue has: pending, suspects (they have lost two workers, and "
        "wait to run alone), delayed, claimed by workers, dead.",
        "0",
    )
    add_queues(parser)
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        from fluxqueue_control import pausing, queues

        names = queues_of(servers, arguments.queues)
        lengths: dict[str, queues.Lengths] = {}
        paused: dict[str, bool] = {}
        for client, some in servers.of_queues(names):
            lengths |= queues.read_lengths(client, some)
            paused |= pausing.read_paused(client, some)
        rows = [{"queue": name, **asdict(lengths[name]), "paused": paused[name]} for name in names]
        if arguments.json:
            for row in rows:
                print_json(row)
        else:
            shown = [{**row, "paused": "paused" if row["paused"] else None} for row in rows]
            print_table(_HEADS, [[row[head] for head in _HEADS] for row in shown])
        return DONE

    return run(prog, arguments, act)
