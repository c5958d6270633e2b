"""The guard of the pages refuses changes of viewers, other sites and by GET."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_dashboard.access import Access, Person
from fluxqueue_dashboard.guard import CONTENT_SECURITY_POLICY, Guard
from starlette.responses import PlainTextResponse
from support.asgi import Answer, ask

OPERATOR, VIEWER = "o" * 20, "v" * 20
PEOPLE = (Person.of("ada", "operator", OPERATOR), Person.of("bob", "viewer", VIEWER))
BASIC = {"authorization": "Basic YWRhOm9vb29vb29vb29vb29vb29vb29v"}
TOKEN = {"authorization": f"Bearer {OPERATOR}"}
HERE = {"sec-fetch-site": "same-origin"}


async def pages(scope: Any, receive: Any, send: Any) -> None:
    visitor = scope.get("state", {}).get("visitor")
    name = "no one" if visitor is None else f"{visitor.name} {visitor.role}"
    await PlainTextResponse(name)(scope, receive, send)


def answer(access: Access, method: str, headers: dict[str, str], path: str = "/x") -> Answer:
    return ask(Guard(pages, access), path, method, headers=headers)


SECRETS = Access(PEOPLE, anyone=None)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (BASIC | HERE, 200),
        (TOKEN | HERE, 200),
        # A program, which no site controls.
        (TOKEN, 200),
        # An older browser.
        (BASIC | {"origin": "http://localhost"}, 200),
        # A proxy that ends TLS has another scheme.
        (BASIC | {"origin": "https://localhost"}, 200),
        (BASIC, 403),
        (BASIC | {"sec-fetch-site": "same-site"}, 403),
        (BASIC | {"sec-fetch-site": "cross-site"}, 403),
        (BASIC | {"sec-fetch-site": "none"}, 403),
        (BASIC | {"sec-fetch-site": ""}, 403),
        (BASIC | {"origin": "null"}, 403),
        (BASIC | {"origin": "http://evil.example"}, 403),
        (BASIC | {"origin": "http://localhost.evil.example"}, 403),
        (BASIC | {"origin": "http://localhost:1"}, 403),
        (BASIC | {"sec-fetch-site": "cross-site", "origin": "http://localhost"}, 403),
        (TOKEN | {"sec-fetch-site": "cross-site"}, 403),
        (TOKEN | {"origin": "http://evil.example"}, 403),
        ({"authorization": f"Bearer {VIEWER}"}, 403),
        ({"authorization": f"Bearer {VIEWER}"} | HERE, 403),
        ({"authorization": "Bearer wrong"} | HERE, 401),
        (HERE, 401),
    ],
)
def test_a_change_needs_an_operator_on_a_page_of_this_site(
    headers: dict[str, str], status: int
) -> None:
    found = answer(SECRETS, "POST", headers)
    assert found.status == status
    assert (found.text == "ada operator") is (status == 200)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"])
def test_other_methods_are_refused(method: str) -> None:
    assert answer(SECRETS, method, TOKEN | HERE).status == 405


def test_each_visitor_may_be_a_viewer_and_no_more() -> None:
    assert answer(Access(), "GET", {}).text == "anyone viewer"
    assert answer(Access(), "POST", HERE).status == 403
    assert answer(Access(anyone="operator"), "POST", HERE).text == "anyone operator"
    assert answer(Access(anyone="operator"), "POST", {}).status == 403


def test_a_request_without_a_proof_is_asked_for_one() -> None:
    found = answer(SECRETS, "GET", {})
    assert found.status == 401
    assert found.headers["www-authenticate"].startswith("Basic ")


def test_a_probe_and_the_files_of_the_pages_need_no_proof() -> None:
    assert answer(SECRETS, "GET", {}, "/livez").text == "no one"
    assert answer(SECRETS, "GET", {}, "/static/dashboard.css").text == "no one"
    assert answer(SECRETS, "POST", HERE, "/static/x").status == 401
    assert answer(SECRETS, "GET", {}, "/x/static/").status == 401


def test_the_open_paths_are_those_of_the_dashboard_not_of_what_mounts_it() -> None:
    app = Guard(pages, SECRETS)
    assert ask(app, "/livez", root_path="/queues").status == 200
    assert ask(app, "/x", root_path="/static").status == 401


def test_another_name_than_the_allowed_is_refused() -> None:
    app = Guard(pages, Access(), ("localhost", "[::1]"))
    names = {"localhost": 200, "LOCALHOST:81": 200, "[::1]:81": 200, "evil.example": 400}
    names |= {"localhost.evil.example": 400, "": 400}
    found = {name: ask(app, "/", headers={"host": name}).status for name in names}
    assert found == names


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_answer_has_the_headers_that_protect_it(method: str) -> None:
    for access in (Access(), SECRETS):
        headers = answer(access, method, {}).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
    assert "unsafe" not in CONTENT_SECURITY_POLICY and "*" not in CONTENT_SECURITY_POLICY
