"""The settings that all long-running processes have: Redis, log, health endpoint."""

from __future__ import annotations

from fluxqueue_core import check_namespace

from . import log
from .setting import Setting, one_of, port, text

DEFAULT_HOST = "127.0.0.1"


def namespace(value: str) -> str:
    """Reads the name of a namespace.

    Raises:
        ValueError: the name is not valid (`ConfigurationError` is a ValueError).
    """
    name = text(value).strip()
    check_namespace(name)
    return name


REDIS_URL: Setting[str | None] = Setting(
    flags=("-r", "--redis-url"),
    env="FLUXQUEUE_REDIS_URL",
    default=None,
    parse=text,
    metavar="URL",
    help="where Redis is, by default redis://127.0.0.1:6379; a worker first"
    " looks at the URL in its code",
)
NAMESPACE: Setting[str | None] = Setting(
    flags=("--namespace",),
    env="FLUXQUEUE_NAMESPACE",
    default=None,
    parse=namespace,
    metavar="NAME",
    help="keeps this application's keys apart from those of others in the same Redis; by default"
    " the namespace in a worker's code, else none",
)


def url_in_use(display_url: str) -> str:
    """Returns which Redis URL a command has used, and what sets it, for its last line.

    Args:
        display_url: the URL without user and password.
    """
    return f"the Redis URL is {display_url}, set by {REDIS_URL.flags[0]} or {REDIS_URL.env}"


LOG_FORMAT = Setting(
    flags=("--log-format",),
    env="FLUXQUEUE_LOG_FORMAT",
    default="auto",
    parse=one_of(*log.FORMATS),
    metavar="|".join(log.FORMATS),
    help="JSON lines, or text for a terminal",
)
LOG_LEVEL = Setting(
    flags=("--log-level",),
    env="FLUXQUEUE_LOG_LEVEL",
    default="info",
    parse=one_of(*log.LEVELS),
    metavar="|".join(log.LEVELS),
    help="the lowest level to log; successes are info",
)
HEALTH_PORT = Setting(
    flags=("--health-port",),
    env="FLUXQUEUE_HEALTH_PORT",
    default=0,
    parse=port,
    metavar="PORT",
    help="the port that serves /livez and /readyz over HTTP; 0: no endpoint",
)
HEALTH_HOST = Setting(
    flags=("--health-host",),
    env="FLUXQUEUE_HEALTH_HOST",
    default=DEFAULT_HOST,
    parse=text,
    metavar="ADDRESS",
    help="the address to listen on; 0.0.0.0 for all",
)
