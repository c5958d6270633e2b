"""The rights in Redis that the dashboard needs to show every page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import Settings, key
from fluxqueue_dashboard.access import Access
from fluxqueue_dashboard.app import build
from support import acl
from support.asgi import ask
from support.dashboard_forms import forms
from support.planted_shop import PlantedShop


def of_the_dashboard() -> list[str]:
    """The rights that the dashboard needs besides those of the tools of an operator."""
    sentence = r"The \[dashboard\]\(dashboard\.md\) also needs `([^`]+)`[^`]+`([^`]+)`"
    [(more, to_count)] = re.findall(sentence, acl.PAGE)
    return [more, to_count]


def rights() -> list[str]:
    """The rights to look, with those of the dashboard."""
    return [*acl.of_looking(), *of_the_dashboard()]


def test_a_user_who_only_looks_sees_every_page(admin: Any, server: EmbeddedRedis) -> None:
    shop = PlantedShop(admin, server.url)
    acl.create(admin, "dashboard", rights())
    url, causes = acl.url("dashboard", server.url), shop.addresses().pop("causes")
    app, context = build(Settings(url), Access())
    found = {name: ask(app, path).status for name, path in shop.addresses().items()}
    assert set(found.values()) == {200}, (found, acl.refused(admin))
    # The page of causes alone wants to write, and tries it once.
    assert {each["context"] for each in acl.refused(admin)} == {"lua"}
    [before] = [int(each["count"]) for each in acl.refused(admin)]
    assert "may not write the index" in ask(app, causes).text
    assert [int(each["count"]) for each in acl.refused(admin)] == [before]
    assert admin.exists(key("watched", "mails"))
    context.close()
    shop.close()


def test_an_operators_user_makes_every_change(admin: Any, server: EmbeddedRedis) -> None:
    shop = PlantedShop(admin, server.url)
    [limits] = re.findall(r"With limits it is\s+also `([^`]+)`", acl.PAGE)
    rules = [*acl.of_operating(), *limits.split(), *of_the_dashboard()]
    acl.create(admin, "dashboard", rules)
    app, context = build(Settings(acl.url("dashboard", server.url)), Access(anyone="operator"))
    here = {"sec-fetch-site": "same-origin"}
    found = {
        verb: ask(app, f"/changes/{verb}", "POST", form=form, headers=here).status
        for verb, form in forms(shop).items()
    }
    assert set(found.values()) == {303}, (found, acl.refused(admin))
    assert acl.refused(admin) == []
    context.close()
    shop.close()


def test_a_user_who_only_looks_can_change_nothing(admin: Any, server: EmbeddedRedis) -> None:
    shop = PlantedShop(admin, server.url)
    acl.create(admin, "dashboard", rights())
    app, context = build(Settings(acl.url("dashboard", server.url)), Access(anyone="operator"))
    here = {"sec-fetch-site": "same-origin"}
    before = {name: admin.dump(name) for name in admin.keys("*")}
    for verb, form in forms(shop).items():
        answer = ask(app, f"/changes/{verb}", "POST", form=form, headers=here)
        is_refused = answer.status == 503 and "Redis refuses that" in answer.text
        # Not a change: the job does not run, or there is nothing to take back.
        assert is_refused or "done=job-ended" in answer.headers["location"], verb
    assert {name: admin.dump(name) for name in admin.keys("*")} == before
    context.close()
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
