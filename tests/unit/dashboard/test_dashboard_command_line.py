"""The options of `fluxqueue dashboard`, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from fluxqueue_dashboard.access import Visitor
from fluxqueue_dashboard.cli import access_of, allowed_hosts, is_loopback, main, parse
from fluxqueue_dashboard.redaction import HIDDEN, import_redaction

NOTHING: dict[str, object] = {"headers": [], "client": ("127.0.0.1", 1)}


@pytest.fixture
def people(tmp_path: Path) -> str:
    file = tmp_path / "people.toml"
    file.write_text('[ada]\nrole = "operator"\nsecret = "0123456789abcdef"\n')
    return str(file)


def test_by_default_it_listens_on_loopback_and_changes_nothing() -> None:
    options = parse([], "fluxqueue dashboard")
    access, token = access_of(options)
    assert options.host == "127.0.0.1" and token is None
    assert access.visitor(NOTHING) == Visitor("anyone", "viewer")
    assert set(allowed_hosts(options, access)) == {"localhost", "127.0.0.1", "[::1]"}


def test_people_must_prove_who_they_are(people: str) -> None:
    options = parse(["--people", people, "--host", "0.0.0.0"], "fluxqueue dashboard")
    access, _ = access_of(options)
    assert access.visitor(NOTHING) is None
    assert allowed_hosts(options, access) == ()


def test_people_may_be_operators_while_others_look(people: str) -> None:
    access, _ = access_of(parse(["--people", people, "--anyone", "viewer"], "fluxqueue dashboard"))
    assert access.visitor(NOTHING) == Visitor("anyone", "viewer")


def test_a_new_token_is_another_one_at_each_start() -> None:
    options = parse(["--new-token", "operator", "--host", "0.0.0.0"], "fluxqueue dashboard")
    (access, first), (_, second) = access_of(options), access_of(options)
    assert first is not None and second is not None and first != second and len(first) >= 32
    header = (b"authorization", f"Bearer {first}".encode())
    visitor = access.visitor({"headers": [header], "client": None})
    assert visitor == Visitor("token", "operator", is_ambient=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.org"])
@pytest.mark.parametrize("words", [[], ["--anyone", "viewer"], ["--anyone", "operator"]])
def test_the_dashboard_refuses_to_listen_elsewhere_without_a_proof(
    host: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--host", host, *words], "fluxqueue dashboard")
    said = capsys.readouterr().err
    assert raised.value.code == 2 and said.startswith("fluxqueue dashboard: ")
    assert host in said and "--people" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--anyone", "nothing"], "lets no visitor in"),
        (["--anyone", "admin"], "admin"),
        (["--proxy-header", "X-User"], "needs --trusted-proxy"),
        (["--proxy-header", "X-User", "--trusted-proxy", "x"], "'x' is not an address"),
        (["--people", "no-such.toml"], "no-such.toml"),
        (["--redact", "nonsense"], "is not a path"),
        (["--redact", "no_such_module:f"], "can't be imported"),
        (["--redact", "json:__name__"], "is not a function"),
        (["--port", "70000"], "70000"),
    ],
)
def test_a_wrong_option_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(words, "fluxqueue dashboard")
    text = capsys.readouterr().err
    assert raised.value.code == 2 and said in text and text.count("\n") == 1


def test_loopback_addresses_are_known() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "", "local")))


def test_a_redaction_that_fails_hides_the_value() -> None:
    # `dict` takes no such arguments.
    assert import_redaction("builtins:dict")("args", "name", ["secret"]) == HIDDEN
    assert import_redaction("builtins.max")("args", "b", "c") == "c"
