"""The command line: `fluxqueue scheduler` and `fluxqueue-scheduler`."""

from __future__ import annotations

import sys

from fluxqueue_core import Settings
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service import log
from fluxqueue_core.service.command_line import Parser, fail, seconds, whole_number
from fluxqueue_core.service.common_settings import add_log_settings, add_redis_setting
from fluxqueue_core.service.health_settings import add_health_settings
from fluxqueue_core.service.process import limit_exit

from . import __version__
from .options import Options

DAY = 86_400.0
# A message counts its deliveries in 32 bits; numbers in Lua are exact to 2 ** 53.
MOST_DELIVERIES = 2**32 - 1
MOST_DEAD = 2**53


def days(value: str) -> float:
    """Reads a number of days above 0.

    Raises:
        ValueError: it is something else.
    """
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1_000_000:
        raise ValueError(f"{value!r} is not a number of days above 0")
    return number


def build_parser(prog: str) -> Parser:
    """The flags, each with its variable and its default."""
    parser = Parser(
        prog=prog,
        description="Runs retries when they are due and gives back the tasks of lost workers. "
        "Any number of schedulers may run at once.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_redis_setting(parser)
    parser.setting(
        "--lease",
        env="FLUXQUEUE_LEASE",
        default=10.0,
        parse=seconds(1),
        help="seconds without a sign of life after which a worker counts as lost; "
        "the same as the workers' own",
        metavar="SECONDS",
    )
    parser.setting(
        "--max-deliveries",
        env="FLUXQUEUE_MAX_DELIVERIES",
        default=3,
        parse=whole_number(1, MOST_DELIVERIES),
        help="a task that has lost so many workers is dead; below 3 also one that they merely held",
        metavar="N",
    )
    parser.setting(
        "--dead-max-count",
        env="FLUXQUEUE_DEAD_MAX_COUNT",
        default=100_000,
        parse=whole_number(0, MOST_DEAD),
        help="how many dead tasks a queue keeps",
        metavar="N",
    )
    parser.setting(
        "--dead-max-age",
        env="FLUXQUEUE_DEAD_MAX_AGE",
        default=90.0,
        parse=days,
        help="days that a dead task is kept",
        metavar="DAYS",
    )
    add_log_settings(parser)
    add_health_settings(parser)
    return parser


def main(argv: list[str] | None = None, prog: str = "fluxqueue-scheduler") -> int:
    """Runs the scheduler until SIGTERM or SIGINT; returns the exit code."""
    arguments = build_parser(prog).parse_args(sys.argv[1:] if argv is None else argv)
    try:
        settings = Settings(arguments.redis_url)
    except ConfigurationError as error:
        fail(prog, str(error))
    options = Options(
        lease=arguments.lease,
        max_deliveries=arguments.max_deliveries,
        dead_max_count=arguments.dead_max_count,
        dead_max_age=arguments.dead_max_age * DAY,
    )
    log.configure(arguments.log_format, arguments.log_level)
    # redis-py is imported only now: a wrong flag or --help answers at once.
    from .service import run

    try:
        code = run(settings, options, arguments.health_host, arguments.health_port)
    except ConfigurationError as error:
        fail(prog, str(error))
    limit_exit(code)
    return code
