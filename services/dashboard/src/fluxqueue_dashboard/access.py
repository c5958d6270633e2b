"""The visitor of a request and their role: by a secret, by a trusted proxy, or by default."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["viewer", "operator"]
ROLES: Sequence[Role] = ("viewer", "operator")
# Characters of a secret, at least: nothing slows down an attacker who guesses.
SHORTEST = 16

Scope: TypeAlias = Mapping[str, Any]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Visitor:
    """The sender of a request.

    Attributes:
        is_ambient: whether a browser adds the proof of it by itself, even if another site has
            caused the request. A token in a header is not ambient.
    """

    name: str
    role: Role
    is_ambient: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """A name that a secret proves, as a bearer token or as the password of basic auth.

    Attributes:
        digest: SHA-256 of the secret.
    """

    name: str
    role: Role
    digest: bytes

    @classmethod
    def of(cls, name: str, role: Role, secret: str) -> Person:
        """Makes a person from the secret itself.

        Raises:
            ValueError: the secret is short.
        """
        if len(secret) < SHORTEST:
            raise ValueError(
                f"the secret of {name!r} has {len(secret)} characters; take {SHORTEST} or more, "
                f"such as the output of: openssl rand -hex 32"
            )
        return cls(name, role, _digest(secret.encode()))


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """A proxy in front that names the visitor in a header.

    Attributes:
        header: the header's name, in lower case.
        networks: the addresses that may connect as the proxy. The header of another is ignored.
        operators: the names that are operators; others are viewers.
    """

    header: bytes
    networks: Sequence[Network]
    operators: frozenset[str] = frozenset()

    def visitor(self, scope: Scope) -> Visitor | None:
        """Returns the visitor that the proxy has named; None if the request is not the proxy's."""
        client = scope.get("client")
        try:
            address = ipaddress.ip_address(client[0] if client else "")
        except ValueError:
            return None
        if not any(address in network for network in self.networks):
            return None
        names = [value for name, value in scope["headers"] if name == self.header]
        # Two headers: one of them has come through the proxy.
        if len(names) != 1 or not (name := names[0].decode("utf-8", "replace").strip()):
            return None
        return Visitor(name, "operator" if name in self.operators else "viewer")


@dataclass(frozen=True, slots=True)
class Access:
    """Decides about each request.

    Attributes:
        people: who can prove their name by a secret.
        proxy: a proxy that has proved it already.
        anyone: the role of a request that proves nothing; None: it is refused.
        by: a function of the application that mounts the dashboard. It gets the ASGI scope and
            returns a visitor, or None to refuse. The other attributes do not count then.
    """

    people: Sequence[Person] = ()
    proxy: TrustedProxy | None = None
    anyone: Role | None = "viewer"
    by: Callable[[Scope], Visitor | None] | None = None

    @property
    def asks(self) -> bool:
        """Whether a request without a proof is refused."""
        return self.by is not None or self.anyone is None

    def visitor(self, scope: Scope) -> Visitor | None:
        """Returns who has sent the request; None if it is refused."""
        if self.by is not None:
            return self.by(scope)
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if given and self.people:
            # A wrong secret is refused, even if a request without one is not.
            return self._proved(given[0]) if len(given) == 1 else None
        if self.proxy is not None and (found := self.proxy.visitor(scope)) is not None:
            return found
        return None if self.anyone is None else Visitor("anyone", self.anyone)

    def _proved(self, authorization: bytes) -> Visitor | None:
        scheme, _, rest = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            return self._with_secret(None, rest.strip(), is_ambient=False)
        if scheme.lower() != b"basic":
            return None
        try:
            name, _, secret = base64.b64decode(rest.strip(), validate=True).partition(b":")
        except binascii.Error:
            return None
        return self._with_secret(name, secret, is_ambient=True)

    def _with_secret(self, name: bytes | None, secret: bytes, is_ambient: bool) -> Visitor | None:
        digest, found = _digest(secret), None
        # All of them are compared, so the time tells nothing.
        for person in self.people:
            is_secret = hmac.compare_digest(digest, person.digest)
            is_name = name is None or hmac.compare_digest(name, person.name.encode())
            if is_secret and is_name:
                found = person
        return None if found is None else Visitor(found.name, found.role, is_ambient)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def read_people(file: Path) -> list[Person]:
    """Reads the people of a TOML file: a table for each name, with `role` and either `secret` or
    `sha256`, the hexadecimal SHA-256 of the secret.

    Raises:
        ValueError: the file can't be read, or is wrong. The text never has a secret.
    """
    try:
        tables = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(file)!r} can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{str(file)!r} is not TOML: {error}") from None
    if not tables:
        raise ValueError(f"{str(file)!r} names no person; write a table such as [ada]")
    people = []
    for name, table in tables.items():
        try:
            people.append(_person(name, table))
        except ValueError as error:
            raise ValueError(f"{str(file)!r}: {error}") from None
    return people


def _person(name: str, table: Any) -> Person:
    if not isinstance(table, dict) or not set(table) <= {"role", "secret", "sha256"}:
        raise ValueError(f"{name!r} is not a table with role and secret (or sha256)")
    if ":" in name:
        raise ValueError(f"the name {name!r} has a colon, which basic auth can't carry")
    secret, sha256 = table.get("secret"), table.get("sha256")
    role = next((each for each in ROLES if each == table.get("role")), None)
    if role is None:
        raise ValueError(f"the role of {name!r} is not one of {', '.join(ROLES)}")
    if isinstance(secret, str) and sha256 is None:
        return Person.of(name, role, secret)
    try:
        if secret is not None or not isinstance(sha256, str) or len(sha256) != 64:
            raise ValueError
        return Person(name, role, bytes.fromhex(sha256))
    except ValueError:
        raise ValueError(
            f"{name!r} needs either a secret, or sha256 with 64 hexadecimal digits"
        ) from None


def read_networks(texts: Iterable[str]) -> list[Network]:
    """Reads addresses such as `127.0.0.1` and networks such as `10.0.0.0/8`.

    Raises:
        ValueError: a text is neither.
    """
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            raise ValueError(f"{text!r} is not an address or a network") from None
    return networks
