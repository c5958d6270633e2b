"""`fluxqueue doctor`: says what is wrong with Redis, schedulers, workers and queues."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from fluxqueue_core.service.command_line import one_line

from .answers import DONE, SOME_NOT, add_common, add_queues, parser_of, print_json, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxqueue_control.doctor import Diagnosis
    from fluxqueue_control.servers import Servers

# Seconds for which commands are counted, at most.
_LONGEST = 60.0


def main(argv: list[str], prog: str = "fluxqueue doctor") -> int:
    """Prints what the doctor finds; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Looks at Redis, schedulers, workers and queues, and says what to do. It changes nothing.",
        "0 if there is no warning and no problem, 1 if there is",
    )
    add_queues(parser)
    parser.add_argument(
        "--all", action="store_true", help="also print the checks of queues that are fine"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=1.0,
        metavar="N",
        help="how long to count the commands that Redis gets (default: 1; 0: compute them)",
    )
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        from fluxqueue_control.doctor import examine, worst

        found = list(examine(servers, arguments.queues, seconds=arguments.seconds))
        if arguments.json:
            for diagnosis in found:
                print_json(asdict(diagnosis))
        else:
            _print(found, whole=arguments.all)
        return SOME_NOT if worst(found) in ("warning", "problem") else DONE

    return run(prog, arguments, act)


def _print(found: Sequence[Diagnosis], *, whole: bool) -> None:
    hidden = 0
    for each in found:
        if each.status == "ok" and each.queue is not None and not whole:
            hidden += 1
            continue
        where = "".join(f"{part}: " for part in (each.server, each.queue) if part is not None)
        print(f"{each.status:<8} {each.check:<12} {one_line(where + each.text)}")
        if each.remedy is not None and each.status != "ok":
            print(f"{'':<21} > {one_line(each.remedy)}")
    if hidden:
        print(f"{'ok':<8} {'queues':<12} {hidden} more diagnoses are right (--all)")
    sys.stdout.flush()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 60")
    return seconds
