"""The faults of connections: refusals, certificates, evicted keys."""

from collections.abc import Sequence

from .settings import Settings

def operators_remedy(error: str, command: str = "", script: str | None = None) -> str | None:
    """Returns the remedy for an error of Redis (with its code) that lasts until an operator
    acts: a right or a command is missing, the password is wrong. None for other errors.

    Args:
        command: the command that was refused, such as `LMOVE` or `CLUSTER SLOTS`.
        script: the script that was refused, in place of a command.
    """

def refusal_text(error: str, command: str = "", script: str | None = None) -> str:
    """Returns an error of Redis (with its code) as people read it: what was refused, and what to
    do. The arguments are those of `operators_remedy`."""

def evictions(settings: Settings, queues: Sequence[str]) -> list[tuple[str | None, str, int]]:
    """Asks each server that has one of the queues whether it evicts keys.

    Returns its `host:port` (None if the URL has only one), its `maxmemory-policy` and its
    `maxmemory` in bytes (0: it has no limit). Leaves out servers that don't answer within
    the timeouts, and those that don't say it, for example because the user lacks the right
    to `INFO`.
    """

def is_temporary(text: str) -> bool:
    """Returns whether an error of Redis says that this server can't work at present: it
    is starting, busy, out of memory or a replica. The code (`LOADING`, `OOM`, ...) can
    be anywhere in `text`."""

def dial(host: str, port: int, timeout: float, silent: Sequence[str] = ...) -> tuple[int, int]:
    """Opens a TCP connection as client and worker do: looks the host up in a thread, and
    tries several addresses at intervals. A signal ends the wait.

    Args:
        timeout: the seconds for the lookup and the connection together.
        silent: addresses to leave out, because the caller has tried them.

    Returns:
        The descriptor of the socket, which belongs to the caller, and how many other
        addresses there are.

    Raises:
        BrokerUnavailable: no address answers in time.
        ConfigurationError: `silent` has something else than IP addresses.
    """

def check_certificates(settings: Settings) -> None:
    """Reads the certificates that the settings name.

    Raises:
        ConfigurationError: one can't be read or used.
    """

def check_server_certificate(settings: Settings, host: str, shown: bytes) -> None:
    """Checks what a server has shown, after its chain was verified: client and worker must
    accept it too.

    Args:
        shown: the server's own certificate (DER).

    Raises:
        BrokerUnavailable: client and worker refuse it. The text has the remedy.
        ConfigurationError: the certificates of the settings can't be used.
    """

def certificate_fault(fault: str, host: str) -> str | None:
    """Returns what is wrong with the certificate of a server, and the remedy.

    Args:
        fault: `expired`, `not_yet_valid`, `other_host` or `unknown_authority`. For any
            other the result is None.
        host: the server, as the URL names it.
    """

def alert_remedy(alert: str, shows_certificate: bool) -> str | None:
    """Returns what to do about an alert of TLS. None: not known.

    Args:
        alert: its name in RFC 8446, for example `certificate_required`;
            `wrong_version_number` for an answer that is not TLS; `timeout` if the
            handshake got no answer in time.
        shows_certificate: whether the client has a certificate to show.
    """
