"""The settings of the health endpoint, which all long-running processes have."""

from __future__ import annotations

from .command_line import Parser, text

DEFAULT_HOST = "127.0.0.1"


def add_health_settings(parser: Parser) -> None:
    """Adds `--health-port` and `--health-host`: `health_port`, `health_host`."""
    parser.setting(
        "--health-port",
        env="FLUXQUEUE_HEALTH_PORT",
        default=0,
        parse=port,
        metavar="PORT",
        help="serves /livez and /readyz there by HTTP; 0: no such endpoint",
    )
    parser.setting(
        "--health-host",
        env="FLUXQUEUE_HEALTH_HOST",
        default=DEFAULT_HOST,
        parse=text,
        metavar="ADDRESS",
        help="the address that it listens on; 0.0.0.0 for all",
    )


def port(value: str) -> int:
    """A number that a TCP port may have.

    Raises:
        ValueError: it is none.
    """
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number <= 65_535:
        raise ValueError(f"{value!r} is not a port: a whole number from 0 to 65535")
    return number
