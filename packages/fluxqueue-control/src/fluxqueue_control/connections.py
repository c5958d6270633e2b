"""The connections of redis-py, made as client and worker make theirs: the same search for
the address within the same time, and the same judgement on certificates.

redis-py alone would wait for a name server without an end, trust the system's authorities
besides `ssl_ca_certs`, and take certificates that the core refuses.

Why: docs/decisions/0070-redis-py-dials-through-the-core.md
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

import redis
from fluxqueue_core import (
    Settings,
    alert_remedy,
    certificate_fault,
    check_certificates,
    check_server_certificate,
    dial,
)
from fluxqueue_core.errors import BrokerUnavailable, ConfigurationError
from redis.connection import Connection, SSLConnection
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

# Bytes of the reply to PING, which is short.
_LONGEST_REPLY = 1_024
# Seconds in which a server that has refused a client closes the connection.
_CLOSES_WITHIN = 0.2
# OpenSSL's numbers (`openssl/x509_vfy.h`) of what the core calls by name. Python has no
# names for them.
_FAULTS = {
    2: "unknown_authority",
    9: "not_yet_valid",
    10: "expired",
    18: "unknown_authority",  # it has signed itself
    19: "unknown_authority",
    20: "unknown_authority",
    21: "unknown_authority",
    62: "other_host",
    64: "other_host",  # an IP address
}


class DialledConnection(Connection):
    """A connection by TCP, whose socket the core opens.

    Args:
        settings: they name the timeout and the certificates.
    """

    def __init__(self, settings: Settings, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._settings = settings

    def _connect(self) -> Any:
        ends = time.monotonic() + self._settings.connect_timeout
        said: dict[str, str] = {}  # by address, why it is not used
        while True:
            try:
                descriptor, others = dial(self.host, self.port, _until(ends), [*said])
            except BrokerUnavailable as error:
                raise self._failed(said, error) from None
            used = socket.socket(fileno=descriptor)
            # As in the core, each address has a share of the time.
            by = time.monotonic() + _until(ends) / (others + 1)
            address = ""
            try:
                address = used.getpeername()[0].partition("%")[0]
                used = self._secured(used, by)
                if others or said:
                    _check_answers(used, by)
            except (redis.ConnectionError, OSError) as error:
                used.close()
                is_last = not others or not address
                if is_last and not said:
                    raise self._failed(said, error) from error.__cause__
                said[address] = str(error)
                if is_last:
                    raise self._failed(said) from error.__cause__
            except BaseException:
                used.close()
                raise
            else:
                used.settimeout(self.socket_timeout)
                return used

    def _secured(self, opened: socket.socket, by: float) -> socket.socket:
        """Returns the socket for Redis' protocol, at the time `by` at the latest."""
        return opened

    def _failed(
        self, said: Mapping[str, str], last: Exception | None = None
    ) -> redis.ConnectionError:
        reasons = [f"{address}: {reason}" for address, reason in said.items()]
        if last is not None:
            reasons.append(str(last))
        return redis.ConnectionError(f"{self.host}:{self.port}: {', '.join(reasons)}")


def _until(ends: float) -> float:
    return max(ends - time.monotonic(), 0.001)


def _check_answers(opened: socket.socket, by: float) -> None:
    """Checks that a server answers, so that another address can be tried.

    Raises:
        ConnectionError: it is silent, or refuses and closes the connection.
    """
    opened.settimeout(_until(by))
    reply = b""
    try:
        opened.sendall(b"*1\r\n$4\r\nPING\r\n")
        while not reply.endswith(b"\n") and len(reply) < _LONGEST_REPLY:
            opened.settimeout(_until(by))
            if not (found := opened.recv(1_024)):
                raise redis.ConnectionError(_text(reply) or "it closes the connection")
            reply += found
    except TimeoutError:
        raise redis.ConnectionError("it takes the connection and does not answer") from None
    # Without a login a server answers with an error as well, of the code NOAUTH. One that
    # has no room for another client closes the connection a moment after its error; one
    # without a PING does not.
    if reply.startswith(b"-ERR "):
        opened.settimeout(min(_CLOSES_WITHIN, _until(by)))
        with contextlib.suppress(TimeoutError):
            try:
                if opened.recv(1):
                    return
            except ConnectionError:
                pass
            raise redis.ConnectionError(_text(reply))


def _text(reply: bytes) -> str:
    return reply.decode(errors="replace").strip().removeprefix("-")


class _Secured(ssl.SSLSocket):
    """Says why the server has closed the connection, for example because it asks for a
    certificate: OpenSSL reports the alert only to a reader, and redis-py writes first."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        try:
            super().sendall(data, flags)
        except (ssl.SSLEOFError, ConnectionError):
            self.settimeout(0.0)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLEOFError):
                self.recv(1)
            raise


class EncryptedConnection(SSLConnection, DialledConnection):
    """A connection by TLS."""

    # Not that of redis-py, which would make TLS without regard to other addresses.
    _connect = DialledConnection._connect

    def _secured(self, opened: socket.socket, by: float) -> socket.socket:
        opened.settimeout(_until(by))
        try:
            check_certificates(self._settings)
            secured = _context(self._settings).wrap_socket(opened, server_hostname=self.host)
            try:
                shown = secured.getpeercert(binary_form=True)
                check_server_certificate(self._settings, self.host, shown or b"")
            except BaseException:
                secured.close()
                raise
        except (BrokerUnavailable, ConfigurationError) as error:
            raise redis.ConnectionError(str(error)) from None
        except TimeoutError:
            raise redis.ConnectionError(alert_remedy("timeout", False)) from None
        except ssl.SSLCertVerificationError as error:
            fault = certificate_fault(_FAULTS.get(error.verify_code, ""), self.host)
            raise redis.ConnectionError(fault or str(error)) from error
        return secured


def _context(settings: Settings) -> ssl.SSLContext:
    """Trusts the certificates that client and worker trust with rustls."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _Secured
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    # Each certificate of the file is trusted, also one that another has signed.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    paths = settings.certificates
    if "ssl_ca_certs" in paths:
        context.load_verify_locations(paths["ssl_ca_certs"])
    else:
        context.load_default_certs()
    if "ssl_certfile" in paths:
        context.load_cert_chain(paths["ssl_certfile"], paths["ssl_keyfile"])
    return context


class WatchedConnection(SentinelManagedConnection, DialledConnection):
    """A connection to the master that Sentinels name."""


class EncryptedWatchedConnection(SentinelManagedSSLConnection, EncryptedConnection):
    """A connection by TLS to the master that Sentinels name."""


def connection_class(settings: Settings, watched: bool = False) -> dict[str, Any]:
    """Returns the options for a pool of redis-py that make it use these connections.

    Args:
        watched: whether the pool asks Sentinels for the server.
    """
    chosen: type[DialledConnection]
    if settings.encrypted:
        chosen = EncryptedWatchedConnection if watched else EncryptedConnection
    else:
        chosen = WatchedConnection if watched else DialledConnection
    return {"connection_class": chosen, "settings": settings}
