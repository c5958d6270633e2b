"""The users of docs/security.md, read from that page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text()
PASSWORD = "p%2Fw-of-a-test"
ROLES = ("client", "client-options", "worker", "scheduler")
VERSIONS = ("7", "6.2")
_BLOCK = re.compile(r"^```acl-([\d.]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A second set of rights is in parentheses, and is one rule.
_RULE = re.compile(r"\([^)]*\)|\S+")


def lines(version: str) -> dict[str, list[str]]:
    """The rules that the page has for that version of Redis, by role."""
    (block,) = (text for found, text in _BLOCK.findall(PAGE) if found == version)
    users = {}
    for line in block.splitlines():
        _, name, *rules = _RULE.findall(line)
        users[name.removeprefix("fluxqueue-")] = [
            rule.replace(">PASSWORD", f">{PASSWORD}") for rule in rules
        ]
    return users


def in_namespace(rules: list[str]) -> tuple[str, list[str]]:
    """The name of the page's example, and the rules changed for it as the page says."""
    sentence = r"In the namespace `([^`]+)` write `([^`]+)` for each `([^`]+)`"
    [(name, new, old)] = re.findall(sentence, PAGE)
    return name, [rule.replace(old, new) for rule in rules]


def version_of(admin: Any) -> str:
    """The version of the page whose lines the server should have."""
    major = str(admin.info("server")["redis_version"]).partition(".")[0]
    return "7" if int(major) >= 7 else "6.2"


def versions_for(admin: Any) -> list[str]:
    """The versions whose lines the server understands: a new server knows both."""
    return list(VERSIONS) if version_of(admin) == "7" else ["6.2"]


def refused(admin: Any) -> list[Any]:
    """The commands that Redis has denied so far, except `CLIENT SETINFO` and `INFO`: redis-py,
    worker and scheduler send these and do without."""
    free = ("client", "info")
    return [entry for entry in admin.acl_log() if not str(entry["object"]).startswith(free)]


def create(admin: Any, role: str, rules: list[str]) -> None:
    """Creates the user again, without the rights that it had before."""
    admin.execute_command("ACL", "DELUSER", f"fluxqueue-{role}")
    admin.execute_command("ACL", "SETUSER", f"fluxqueue-{role}", *rules)


def url(role: str, url: str) -> str:
    """Adds that role's user and password to a URL that has neither."""
    scheme, rest = url.split("://")
    return f"{scheme}://fluxqueue-{role}:{PASSWORD.replace('%', '%25')}@{rest}"


def commands(rules: list[str]) -> set[str]:
    """The commands that the rules grant, in parentheses or not."""
    return set(re.findall(r"\+([\w|]+)", " ".join(rules)))


def without(rules: list[str], command: str) -> list[str]:
    """The rules without that command."""
    granted = re.compile(rf"\+{re.escape(command)}(?![\w|])")
    kept = (granted.sub("", rule).replace("( ", "(").strip() for rule in rules)
    return [rule for rule in kept if rule]


def of_cancelling() -> list[str]:
    """The rules that the page adds for a client that cancels tasks."""
    [rules] = re.findall(r"A client that cancels tasks needs `([^`]+)`", PAGE)
    return str(rules).split()


def of_operating() -> list[str]:
    """The rules of the page for an operator."""
    [found] = re.findall(r"```acl-operator\noperator ([^\n]+)\n", PAGE)
    return [rule.replace(">PASSWORD", f">{PASSWORD}") for rule in found.split()]


def of_looking() -> list[str]:
    """The rules of the page for an operator that only looks."""
    [found] = re.findall(r"only looks needs `([^`]+)`", PAGE)
    login = ["on", f">{PASSWORD}", "resetkeys", "resetchannels", "-@all"]
    return [*login, *found.split()]
