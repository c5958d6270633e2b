"""The settings of Redis and of the log, which all long-running processes have."""

from __future__ import annotations

from . import log
from .command_line import Parser, one_of, text


def add_redis_setting(parser: Parser) -> None:
    """Adds `-r/--redis-url`: `redis_url`, None where nothing is given."""
    parser.setting(
        "-r",
        "--redis-url",
        env="FLUXQUEUE_REDIS_URL",
        default=None,
        parse=text,
        metavar="URL",
        help="where Redis is; redis://127.0.0.1:6379 if nothing is given",
    )


def add_log_settings(parser: Parser) -> None:
    """Adds `--log-format` and `--log-level`: `log_format`, `log_level`."""
    parser.setting(
        "--log-format",
        env="FLUXQUEUE_LOG_FORMAT",
        default="auto",
        parse=one_of(*log.FORMATS),
        metavar="|".join(log.FORMATS),
        help="JSON lines, or text for a terminal",
    )
    parser.setting(
        "--log-level",
        env="FLUXQUEUE_LOG_LEVEL",
        default="info",
        parse=one_of(*log.LEVELS),
        metavar="|".join(log.LEVELS),
        help="the lowest level that is logged; successes are info",
    )
