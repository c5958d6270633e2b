"""The dashboard's settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fluxqueue_core.service import common_settings as common
from fluxqueue_core.service.setting import Setting, one_of, port, setting, text

PORT = 8_150


def names(value: str) -> tuple[str, ...]:
    """Reads names, separated by commas.

    Raises:
        ValueError: there is none.
    """
    found = tuple(name.strip() for name in value.split(",") if name.strip())
    if not found:
        raise ValueError("must name at least one")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The values from the command line and the environment, in the order of `--help`.

    Attributes:
        redis_url, namespace: None if not given: see `fluxqueue_core.Settings`.
        anyone: the role of a visitor without a proof; '' for the default: viewer if it listens
            on a loopback address, else none.
    """

    redis_url: str | None = setting(
        replace(common.REDIS_URL, help="where Redis is, by default redis://127.0.0.1:6379")
    )
    namespace: str | None = setting(
        replace(common.NAMESPACE, help="the namespace of the application, by default none")
    )
    host: str = setting(
        Setting(
            flags=("--host",),
            env="FLUXQUEUE_DASHBOARD_HOST",
            default="127.0.0.1",
            parse=text,
            metavar="ADDRESS",
            help="the address to listen on; if it is not a loopback address, give --people,"
            " --new-token or --proxy-header too",
        )
    )
    port: int = setting(
        Setting(
            flags=("--port",),
            env="FLUXQUEUE_DASHBOARD_PORT",
            default=PORT,
            parse=port,
            metavar="PORT",
            help="the port to listen on; 0: a free one, which the log names",
        )
    )
    anyone: str = setting(
        Setting(
            flags=("--anyone",),
            env="FLUXQUEUE_DASHBOARD_ANYONE",
            default="",
            parse=one_of("viewer", "operator", "nothing"),
            metavar="viewer|operator|nothing",
            help="what visitors without a secret may do; by default viewer on a loopback address"
            " without --people, else nothing",
        )
    )
    people: str = setting(
        Setting(
            flags=("--people",),
            env="FLUXQUEUE_DASHBOARD_PEOPLE",
            default="",
            parse=text,
            metavar="FILE",
            help="a TOML file with a table per name: role (viewer or operator), and secret or"
            " sha256",
        )
    )
    new_token: str = setting(
        Setting(
            flags=("--new-token",),
            env="FLUXQUEUE_DASHBOARD_NEW_TOKEN",
            default="",
            parse=one_of("viewer", "operator"),
            metavar="viewer|operator",
            help="make a secret for this role at each start, and print it to the log",
        )
    )
    proxy_header: str = setting(
        Setting(
            flags=("--proxy-header",),
            env="FLUXQUEUE_DASHBOARD_PROXY_HEADER",
            default="",
            parse=text,
            metavar="NAME",
            help="the header in which a proxy in front names the visitor, such as X-Forwarded-User",
        )
    )
    trusted_proxies: tuple[str, ...] = setting(
        Setting(
            flags=("--trusted-proxy",),
            env="FLUXQUEUE_DASHBOARD_TRUSTED_PROXIES",
            default=(),
            parse=names,
            metavar="ADDRESSES",
            help="addresses or networks of that proxy; the header of others is ignored",
        )
    )
    proxy_operators: tuple[str, ...] = setting(
        Setting(
            flags=("--proxy-operator",),
            env="FLUXQUEUE_DASHBOARD_PROXY_OPERATORS",
            default=(),
            parse=names,
            metavar="NAMES",
            help="the names in that header that are operators; others are viewers",
        )
    )
    hosts: tuple[str, ...] = setting(
        Setting(
            flags=("--allowed-host",),
            env="FLUXQUEUE_DASHBOARD_ALLOWED_HOSTS",
            default=(),
            parse=names,
            metavar="NAMES",
            help="the host names that browsers may use; by default any, but on a loopback address"
            " without a secret only localhost and that address",
        )
    )
    root_path: str = setting(
        Setting(
            flags=("--root-path",),
            env="FLUXQUEUE_DASHBOARD_ROOT_PATH",
            default="",
            parse=text,
            metavar="PATH",
            help="the path under which a proxy serves it, such as /queues",
        )
    )
    redact: str = setting(
        Setting(
            flags=("--redact",),
            env="FLUXQUEUE_DASHBOARD_REDACT",
            default="",
            parse=text,
            metavar="PATH",
            help="a function that hides parts of tasks, such as myapp.privacy:redact",
        )
    )
    trace_url: str = setting(
        Setting(
            flags=("--trace-url",),
            env="FLUXQUEUE_DASHBOARD_TRACE_URL",
            default="",
            parse=text,
            metavar="URL",
            help="leads to a trace, such as http://localhost:16686/trace/{trace_id}",
        )
    )
    log_format: str = setting(common.LOG_FORMAT)
    log_level: str = setting(common.LOG_LEVEL)
