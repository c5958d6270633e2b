"""The command line: `fluxqueue scheduler` and `fluxqueue-scheduler`."""

from __future__ import annotations

import sys

from fluxqueue_core import Settings
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service import log
from fluxqueue_core.service.command_line import Parser, fail
from fluxqueue_core.service.process import limit_exit

from . import __version__
from .options import Options


def parse(argv: list[str], prog: str) -> Options:
    """Reads the command line and the environment.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, with 0 after
            `--help`.
    """
    parser = Parser(
        prog=prog,
        description="Enqueues delayed and periodic tasks and retries when due, rescues tasks of "
        "lost workers. You can run any number of schedulers.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_settings(Options)
    return Options(**vars(parser.parse_args(argv)))


def main(argv: list[str] | None = None, prog: str = "fluxqueue-scheduler") -> int:
    """Runs the scheduler until SIGTERM or SIGINT; returns the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv, prog)
    try:
        settings = Settings(options.redis_url, namespace=options.namespace)
    except ConfigurationError as error:
        fail(prog, str(error))
    log.configure(options.log_format, options.log_level)
    # Imports redis-py, which a wrong flag or --help need not wait for.
    from .service import run

    try:
        code = run(settings, options)
    except ConfigurationError as error:
        fail(prog, str(error))
    limit_exit(code)
    return code
