"""The roles of visitors: secrets, people in a file, and a proxy in front."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_dashboard.access import (
    Access,
    Person,
    TrustedProxy,
    Visitor,
    read_networks,
    read_people,
)

ADA, BOB = "a" * 20, "b" * 20
PEOPLE = (Person.of("ada", "operator", ADA), Person.of("bob", "viewer", BOB))


def scope(*headers: tuple[str, str], client: str | None = "10.1.2.3") -> dict[str, Any]:
    return {
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": None if client is None else (client, 1),
    }


def basic(name: str, secret: str) -> tuple[str, str]:
    packed = base64.b64encode(f"{name}:{secret}".encode()).decode()
    return ("authorization", f"Basic {packed}")


def bearer(secret: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {secret}")


def test_a_request_without_a_proof_gets_the_default() -> None:
    assert Access().visitor(scope()) == Visitor("anyone", "viewer")
    assert Access(anyone="operator").visitor(scope()) == Visitor("anyone", "operator")
    assert Access(PEOPLE, anyone=None).visitor(scope()) is None


def test_a_secret_proves_a_name_as_bearer_token_and_as_password() -> None:
    access = Access(PEOPLE, anyone=None)
    assert access.visitor(scope(bearer(ADA))) == Visitor("ada", "operator", is_ambient=False)
    assert access.visitor(scope(bearer(BOB))) == Visitor("bob", "viewer", is_ambient=False)
    assert access.visitor(scope(basic("ada", ADA))) == Visitor("ada", "operator")
    assert access.visitor(scope(basic("bob", BOB))) == Visitor("bob", "viewer")


@pytest.mark.parametrize(
    "header",
    [
        bearer(ADA[:-1]),
        bearer(""),
        basic("bob", ADA),
        basic("", ADA),
        basic("ada", ""),
        ("authorization", "Basic !"),
        ("authorization", "Basic"),
        ("authorization", f"Digest {ADA}"),
        ("authorization", ADA),
    ],
)
def test_a_wrong_proof_is_refused_even_if_none_is_needed(header: tuple[str, str]) -> None:
    assert Access(PEOPLE, anyone=None).visitor(scope(header)) is None
    assert Access(PEOPLE, anyone="viewer").visitor(scope(header)) is None


def test_two_proofs_are_refused() -> None:
    assert Access(PEOPLE).visitor(scope(bearer(ADA), bearer(BOB))) is None


def test_a_trusted_proxy_names_the_visitor() -> None:
    proxy = TrustedProxy(b"x-user", read_networks(["10.0.0.0/8", "::1"]), frozenset({"ada"}))
    access = Access(proxy=proxy, anyone=None)
    assert access.visitor(scope(("x-user", "ada"))) == Visitor("ada", "operator")
    assert access.visitor(scope(("x-user", "eve"), client="::1")) == Visitor("eve", "viewer")


@pytest.mark.parametrize("client", ["11.1.2.3", "::2", "", "unix", None])
def test_the_header_of_another_than_the_proxy_is_ignored(client: str | None) -> None:
    proxy = TrustedProxy(b"x-user", read_networks(["10.0.0.0/8"]), frozenset({"ada"}))
    access = Access(proxy=proxy, anyone=None)
    assert access.visitor(scope(("x-user", "ada"), client=client)) is None


def test_a_header_that_is_there_twice_or_empty_names_no_visitor() -> None:
    proxy = TrustedProxy(b"x-user", read_networks(["10.0.0.0/8"]), frozenset({"ada"}))
    access = Access(proxy=proxy, anyone=None)
    assert access.visitor(scope(("x-user", "eve"), ("x-user", "ada"))) is None
    assert access.visitor(scope(("x-user", " "))) is None


def test_an_application_can_decide_itself() -> None:
    access = Access(by=lambda scope: Visitor("me", "operator"), anyone=None)
    assert access.asks
    assert access.visitor(scope()) == Visitor("me", "operator")
    assert Access(by=lambda scope: None).visitor(scope()) is None


def test_people_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "people.toml"
    digest = hashlib.sha256(BOB.encode()).hexdigest()
    file.write_text(
        f'[ada]\nrole = "operator"\nsecret = "{ADA}"\n[bob]\nrole = "viewer"\nsha256 = "{digest}"\n'
    )
    assert read_people(file) == list(PEOPLE)
    assert ADA not in repr(read_people(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no person"),
        ("[ada", "is not TOML"),
        ('ada = "x"', "is not a table"),
        (f'[ada]\nrole = "admin"\nsecret = "{ADA}"', "the role of 'ada'"),
        (f'[ada]\nrole = "viewer"\nsecret = "{ADA}"\nextra = 1', "is not a table"),
        ('[ada]\nrole = "viewer"\nsecret = "short"', "has 5 characters"),
        ('[ada]\nrole = "viewer"', "needs either"),
        ('[ada]\nrole = "viewer"\nsha256 = "zz"', "needs either"),
        (f'["a:b"]\nrole = "viewer"\nsecret = "{ADA}"', "has a colon"),
    ],
)
def test_a_wrong_file_is_refused_without_its_secrets(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "people.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as raised:
        read_people(file)
    assert ADA not in str(raised.value) and "short" not in str(raised.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ValueError, match=r"no-such\.toml"):
        read_people(Path("no-such.toml"))


def test_a_wrong_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"'10\.0\.0\.1/8'"):
        read_networks(["10.0.0.1/8"])
