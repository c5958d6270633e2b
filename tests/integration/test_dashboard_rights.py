"""The rights in Redis that the dashboard needs to show every page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import Settings
from fluxqueue_dashboard.access import Access
from fluxqueue_dashboard.app import build
from support import acl
from support.asgi import ask
from support.planted_shop import PlantedShop


def rights() -> list[str]:
    """The rights to look, with those of the dashboard."""
    [looks] = re.findall(r"only looks needs `([^`]+)`", acl.PAGE.replace("needs\n`", "needs `"))
    [more] = re.findall(r"The \[dashboard\]\(dashboard\.md\) also needs `([^`]+)`", acl.PAGE)
    login = ["on", f">{acl.PASSWORD}", "resetkeys", "resetchannels", "-@all"]
    return [*login, *looks.split(), *more.split()]


def statuses(url: str, shop: PlantedShop) -> dict[str, int]:
    app, context = build(Settings(url), Access())
    try:
        return {name: ask(app, path).status for name, path in shop.addresses().items()}
    finally:
        context.close()


def test_a_user_who_only_looks_sees_every_page(admin: Any, server: EmbeddedRedis) -> None:
    shop = PlantedShop(admin, server.url)
    acl.create(admin, "dashboard", rights())
    found = statuses(acl.url("dashboard", server.url), shop)
    assert set(found.values()) == {200}, (found, acl.refused(admin))
    assert acl.refused(admin) == []
    shop.close()


@pytest.mark.parametrize("command", ["hscan", "smembers"])
def test_a_missing_right_is_a_page_that_names_it(
    admin: Any, server: EmbeddedRedis, command: str
) -> None:
    acl.create(admin, "dashboard", acl.without(rights(), command))
    admin.sadd("fluxqueue:queues", "mails")
    app, context = build(Settings(acl.url("dashboard", server.url)), Access())
    answer = ask(app, "/limits")
    context.close()
    assert answer.status == 503 and "Redis refuses that" in answer.text
    assert command in answer.text.lower()
