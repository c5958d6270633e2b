"""The spellings of this machine in a URL: localhost, 127.0.0.1, ::1 and others.

No name is looked up: a name server may be slow or silent.
"""

from __future__ import annotations

import ipaddress

LOCALHOST = "localhost"
# As the usual /etc/hosts has them.
_NAMES = ("localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback")


def canonical(host: str) -> str:
    """Returns a host so that its spellings are equal; `LOCALHOST` for this machine."""
    name = host.lower().removesuffix(".")
    # RFC 6761, section 6.3.
    if name in _NAMES or name.endswith(".localhost"):
        return LOCALHOST
    address = _address(name)
    if address is None:
        return name
    # Another address, such as 127.0.0.2, may be that of another server.
    is_local = address.is_unspecified or str(address) in ("127.0.0.1", "::1")
    return LOCALHOST if is_local else str(address)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, at any of its loopback addresses."""
    name = canonical(host)
    address = _address(name)
    return name == LOCALHOST or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # The IPv4 address of `::ffff:127.0.0.1`.
    return getattr(address, "ipv4_mapped", None) or address
