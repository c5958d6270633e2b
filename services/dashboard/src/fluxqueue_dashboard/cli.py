"""The command line: `fluxqueue dashboard` and `fluxqueue-dashboard`."""

from __future__ import annotations

import ipaddress
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fluxqueue_core import Settings
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service import log
from fluxqueue_core.service.command_line import Parser, fail
from fluxqueue_core.service.process import limit_exit

from . import __version__
from .options import Options

if TYPE_CHECKING:
    from .access import Access, Role
    from .redaction import Redact

# The name that goes with the secret of `--new-token`.
TOKEN_NAME = "token"


def parse(argv: list[str], prog: str) -> Options:
    """Reads the command line and the environment.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, with 0 after
            `--help`.
    """
    parser = Parser(
        prog=prog,
        description="Serves the dashboard: queues, tasks and workers in a browser. Without a "
        "secret it listens on a loopback address only, and changes nothing.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_settings(Options)
    return Options(**vars(parser.parse_args(argv)))


def main(argv: list[str] | None = None, prog: str = "fluxqueue-dashboard") -> int:
    """Serves the dashboard until SIGTERM or SIGINT; returns the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv, prog)
    try:
        settings = Settings(options.redis_url, namespace=options.namespace)
        access, token = access_of(options)
    except (ConfigurationError, ValueError) as error:
        fail(prog, str(error))
    # Imports Starlette and more, which a wrong flag or --help need not wait for.
    from .redaction import import_redaction, nothing_hidden
    from .server import serve

    redact: Redact = nothing_hidden
    if options.redact:
        # As in `python -m`, the modules of the working directory can be imported.
        sys.path.insert(0, os.getcwd())
        try:
            redact = import_redaction(options.redact)
        except ValueError as error:
            fail(prog, str(error))
    logger = log.configure(options.log_format, options.log_level)
    if token is not None:
        logger.info("dashboard.token", name=TOKEN_NAME, secret=token, role=options.new_token)
    code = serve(settings, options, access, allowed_hosts(options, access), redact)
    limit_exit(code)
    return code


def access_of(options: Options) -> tuple[Access, str | None]:
    """Returns who may do what, and the secret that was made, if one was asked for.

    Raises:
        ValueError: the settings don't fit together.
    """
    from .access import Access, Person, TrustedProxy, read_networks, read_people

    people = read_people(Path(options.people)) if options.people else []
    token = None
    if options.new_token:
        token = secrets.token_urlsafe(24)
        people.append(Person.of(TOKEN_NAME, _role(options.new_token), token))
    proxy = None
    if options.proxy_header:
        if not options.trusted_proxies:
            raise ValueError("--proxy-header needs --trusted-proxy: whose header is it?")
        proxy = TrustedProxy(
            options.proxy_header.lower().encode(),
            read_networks(options.trusted_proxies),
            frozenset(options.proxy_operators),
        )
    asks = bool(people) or proxy is not None
    anyone: Role | None = None
    if options.anyone in ("viewer", "operator"):
        anyone = _role(options.anyone)
    elif not options.anyone and not asks:
        anyone = "viewer"
    if anyone is not None and not is_loopback(options.host):
        raise ValueError(
            f"the address {options.host!r} can be reached from elsewhere, so visitors must prove "
            f"who they are: give --people, --new-token or --proxy-header, without --anyone"
        )
    if anyone is None and not asks:
        raise ValueError("--anyone nothing lets no visitor in: give --people or --proxy-header")
    return Access(tuple(people), proxy, anyone), token


def allowed_hosts(options: Options, access: Access) -> tuple[str, ...]:
    """Returns the names under which a browser may ask; none for any name."""
    if options.hosts or access.asks:
        return options.hosts
    # A site whose name resolves to this address could read what every visitor may.
    return ("localhost", "127.0.0.1", "[::1]", options.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _role(text: str) -> Role:
    return "operator" if text == "operator" else "viewer"
