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
        self._ends = 0.0

    def _connect(self) -> Any:
        timeout = self._settings.connect_timeout
        self._ends = time.monotonic() + timeout
        try:
            descriptor = dial(self.host, self.port, timeout)
        except BrokerUnavailable as error:
            raise redis.ConnectionError(f"{self.host}:{self.port}: {error}") from None
        opened = socket.socket(fileno=descriptor)
        opened.settimeout(self.socket_timeout)
        return opened


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

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        sock.settimeout(max(self._ends - time.monotonic(), 0.001))
        try:
            check_certificates(self._settings)
            secured = _context(self._settings).wrap_socket(sock, server_hostname=self.host)
            try:
                shown = secured.getpeercert(binary_form=True)
                check_server_certificate(self._settings, self.host, shown or b"")
            except BaseException:
                secured.close()
                raise
        except (BrokerUnavailable, ConfigurationError) as error:
            raise redis.ConnectionError(f"{self.host}:{self.port}: {error}") from None
        except TimeoutError:
            reason = alert_remedy("timeout", False)
            raise redis.ConnectionError(f"{self.host}:{self.port}: {reason}") from None
        except ssl.SSLCertVerificationError as error:
            fault = certificate_fault(_FAULTS.get(error.verify_code, ""), self.host)
            raise redis.ConnectionError(f"{self.host}:{self.port}: {fault or error}") from error
        secured.settimeout(self.socket_timeout)
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
