"""`fluxqueue watch`: prints a line for each queue at intervals, for scripts and for logs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .answers import DONE, SOME_NOT, add_common, add_queues, parser_of, print_json, run

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers
    from fluxqueue_control.watching import Observation


def main(argv: list[str], prog: str = "fluxqueue watch") -> int:
    """Prints lines until Ctrl+C, or until the options say; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Prints how many tasks each queue has, and how many end each second, until Ctrl+C. An "
        "interval costs a few round trips for each hundred queues.",
        "0, with --until-empty 1 if a queue is not empty at the end",
    )
    add_queues(parser)
    parser.add_argument(
        "--interval",
        type=_positive(float, "seconds", 0.1),
        default=5.0,
        metavar="SECONDS",
        help="the time between two looks, 0.1 or more (default: 5)",
    )
    parser.add_argument(
        "--count", type=_positive(int, "looks", 1), metavar="N", help="end after N looks"
    )
    parser.add_argument(
        "--changes", action="store_true", help="print only queues that have changed"
    )
    parser.add_argument(
        "--until-empty",
        action="store_true",
        help="end when no task waits, is delayed or runs",
    )
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        from fluxqueue_control.watching import Observer, watch

        last: dict[str, Any] = {}
        observer = Observer(servers, arguments.queues)
        for number, observations in enumerate(watch(observer, arguments.interval), 1):
            for each in observations:
                state = each.lengths, each.is_paused
                if not arguments.changes or last.get(each.queue) != state:
                    _print(each, as_json=arguments.json)
                last[each.queue] = state
            is_empty = all(each.is_empty for each in observations)
            if arguments.until_empty and is_empty:
                return DONE
            if number == arguments.count:
                return SOME_NOT if arguments.until_empty else DONE
        return DONE

    return run(prog, arguments, act)


def _print(seen: Observation, *, as_json: bool) -> None:
    rates = {f"{name}_per_second": round(rate, 3) for name, rate in seen.rates.items()}
    times = {"oldest_seconds": seen.oldest, "wait_p95_seconds": seen.wait}
    times["run_p95_seconds"] = seen.run
    known = {n: None if s is None else round(s, 3) for n, s in times.items()}
    parts = {**asdict(seen.lengths), "paused": seen.is_paused, **rates, **known}
    if as_json:
        print_json({"at": seen.at, "queue": seen.queue, **parts})
        return
    moment = datetime.fromtimestamp(seen.at, UTC).isoformat(timespec="seconds")
    pairs = (f"{name}={_shown(value)}" for name, value in parts.items())
    print(f"{moment.replace('+00:00', 'Z')} {seen.queue}", *pairs, flush=True)


def _shown(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else value


def _positive(kind: type[int] | type[float], unit: str, least: float) -> Any:
    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = 0
        if not least <= number < 1e9:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit}, {least} or more")
        return number

    return read
