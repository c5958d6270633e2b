"""`fluxqueue top`: queues and workers in a terminal, as they change."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from fluxqueue_core.service.command_line import fail

from .answers import DONE, add_queues, add_redis, parser_of, run

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue top") -> int:
    """Shows the screen until `q`; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, without a terminal, or if
            textual is not installed; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Shows queues and workers in the terminal, as they change. It changes nothing unless "
        "--operate allows it. For scripts use `fluxqueue watch`.",
        "0",
    )
    add_queues(parser)
    parser.add_argument(
        "--interval",
        type=_interval,
        default=2.0,
        metavar="SECONDS",
        help="the time between two updates, 0.2 to 3600 (default: 2)",
    )
    parser.add_argument(
        "--operate", action="store_true", help="allow the keys that pause and resume queues"
    )
    add_redis(parser)
    arguments = parser.parse_args(argv)
    try:
        import textual  # noqa: F401
    except ModuleNotFoundError:
        fail(prog, "needs textual, which is not installed: pip install 'textual>=6'")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail(prog, "needs a terminal; use `fluxqueue watch` in a script")

    def act(servers: Servers) -> int:
        from fluxqueue_control.top.app import TopApp
        from fluxqueue_control.top.state import ScreenSource

        source = ScreenSource(servers, arguments.queues)
        source.read()  # what is wrong with the URL is one line, before the screen begins
        TopApp(source, arguments.interval, may_change=arguments.operate).run()
        return DONE

    return run(prog, arguments, act)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.2 <= seconds <= 3_600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.2 to 3600")
    return seconds
