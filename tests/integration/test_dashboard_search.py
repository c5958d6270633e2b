"""Lists of tasks by state, and the search over all queues, on the dashboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from fluxqueue_core import Settings, dead_reason, key
from fluxqueue_dashboard import patience
from fluxqueue_dashboard.access import Access
from fluxqueue_dashboard.app import build
from fluxqueue_dashboard.search_pages import parse
from support.asgi import ask
from support.dead_tasks import die_many
from support.patient_pages import patient_pages
from support.planted_operations import plant_finished
from support.planted_shop import HOSTILE, PlantedShop, id_of, message, task_id
from support.scripts import Outcome, Scripts, field


@pytest.fixture
def shop(redis: Any, redis_url: str) -> Iterator[PlantedShop]:
    planted = PlantedShop(redis, redis_url)
    yield planted
    planted.close()


@pytest.fixture
def app(redis_url: str) -> Iterator[Any]:
    application, context = build(Settings(redis_url), Access())
    with patient_pages():
        yield application
    context.close()


def ids(text: str) -> list[str]:
    return re.findall(r'<small class="id">([^<]+)</small>', text)


def ids_of_pages(app: Any, path: str, link: str) -> list[str]:
    """Returns the ids of a page and of those behind its link."""
    found = []
    while path:
        text = ask(app, path).text
        found += ids(text)
        following = re.search(rf'href="([^"]+)">{link}', text)
        path = following[1].replace("&amp;", "&") if following else ""
    return found


def test_each_state_of_a_queue_has_its_list(shop: PlantedShop, app: Any) -> None:
    found = {
        state: ids(ask(app, f"/tasks?queue=mails&state={state}").text)
        for state in ("waiting", "delayed", "limited", "claimed", "dead")
    }
    assert len(found["waiting"]) == 50
    assert found["delayed"] == [id_of(shop.delayed)]
    assert found["limited"] == []
    assert id_of(shop.running) in found["claimed"] and len(found["claimed"]) == 2
    assert found["dead"] == [id_of(of) for of in shop.dead]
    assert ask(app, "/tasks?queue=mails&state=nonsense").status == 404
    assert ask(app, "/tasks?queue=mails&cursor=nonsense").status == 400


def test_the_pages_of_a_list_have_each_task_once(shop: PlantedShop, app: Any) -> None:
    found = ids_of_pages(app, "/tasks?queue=mails&state=waiting", "Next ones")
    assert len(found) == len(set(found)) == 127
    assert found[-1] == id_of(shop.waiting)


def test_a_list_is_filtered_by_name_and_text(shop: PlantedShop, app: Any) -> None:
    text = ask(app, "/tasks?queue=mails&state=waiting&text=grace%40example.com").text
    assert ids(text) == [id_of(shop.waiting)]
    text = ask(app, "/tasks?queue=mails&state=dead&task=shop.charge_card").text
    assert ids(text) == [id_of(shop.dead[4])]
    assert "No match" in ask(app, "/tasks?queue=mails&state=delayed&task=other").text


def test_lists_are_filtered_by_id_and_header(shop: PlantedShop, app: Any) -> None:
    acme = message("shop.send_mail", [1])[:-1] + b',"headers":{"tenant":"acme"}}'
    mails = Scripts(shop.redis, "mails")
    mails.enqueue(acme)
    waiting, dead = "/tasks?queue=mails&state=waiting", "/dead?queue=mails"
    assert ids(ask(app, f"{waiting}&header=tenant%3Dacme").text) == [id_of(acme)]
    assert ids(ask(app, f"{waiting}&id={id_of(acme)[:-1]}*&text=tenant").text) == [id_of(acme)]
    assert "No match" in ask(app, f"{waiting}&header=tenant%3Dother").text
    assert ids(ask(app, f"{waiting}&id={id_of(shop.waiting)}").text) == [id_of(shop.waiting)]
    shop.redis.delete(key("pending", "mails"))
    mails.claim("c", acme)
    why = Outcome(field(acme), "dead", dead_reason("failed", "no such user"), "1")
    mails.exchange("c", outcomes=[why])
    assert ids(ask(app, f"{dead}&header=tenant%3Dacme").text) == [id_of(acme)]
    assert ids(ask(app, f"{dead}&id={id_of(acme)}&text=NO+SUCH").text) == [id_of(acme)]
    assert "No match" in ask(app, f"{dead}&id={id_of(acme)}&text=other").text
    assert ids(ask(app, f"{dead}&id={id_of(shop.dead[3])}").text) == [id_of(shop.dead[3])]
    path = f"/tasks?queue=images&state=finished&id={shop.finished[1]}"
    assert ids(ask(app, path).text) == [shop.finished[1]]
    # A person who types has not finished.
    for wrong, said in (("id=x*", "no id begins with"), ("header=tenant", "is not NAME=VALUE")):
        for page in (waiting, dead):
            answer = ask(app, f"{page}&{wrong}")
            assert answer.status == 200 and said in answer.text and ids(answer.text) == [], page


def test_a_filter_of_dead_tasks_looks_beyond_the_first_page(shop: PlantedShop, app: Any) -> None:
    rare = shop.dead[3]
    shop.redis.delete(key("pending", "mails"))
    die_many(Scripts(shop.redis, "mails"), 400)
    assert ids(ask(app, f"/dead?queue=mails&id={id_of(rare)}").text) == [id_of(rare)]
    text = ask(app, "/dead?queue=mails&text=550+NO").text
    assert ids(text) == [id_of(shop.dead[5])]
    found = ids_of_pages(app, "/dead?queue=mails&task=n", "Older ones")
    assert len(found) == len(set(found)) == 400


def test_a_page_that_is_late_leads_to_the_rest(
    shop: PlantedShop, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PAGE", 0.0)
    shop.redis.delete(key("pending", "mails"))
    die_many(Scripts(shop.redis, "mails"), 400)
    path = "/dead?queue=mails&text=550+NO"
    assert ids(ask(app, path).text) == []
    assert ids_of_pages(app, path, "Older ones") == [id_of(shop.dead[5])]


def test_finished_tasks_are_listed_by_name_and_outcome(shop: PlantedShop, app: Any) -> None:
    path = "/tasks?queue=images&state=finished"
    text = ask(app, path).text
    assert ids(text) == shop.finished
    assert f"/task?queue=images&amp;id={shop.finished[0]}" in text
    assert "KeyError: &#39;thumbnail&#39;" in text and "<script>alert" not in text
    assert ids(ask(app, f"{path}&task=shop.*").text) == shop.finished[:3]
    assert ids(ask(app, f"{path}&outcome=succeeded").text) == shop.finished[:3:2]
    assert "No match" in ask(app, f"{path}&task=other").text
    assert "result_ttl" in ask(app, "/tasks?queue=imports&state=finished").text
    assert ask(app, f"{path}&cursor=nonsense").status == 400
    for task in shop.finished:
        assert ask(app, f"/task?queue=images&id={task}").status == 200


def test_the_pages_of_finished_tasks_have_each_once(
    shop: PlantedShop, app: Any, redis: Any
) -> None:
    more = {task_id(n): ("shop.resize", "succeeded", "") for n in range(300, 420)}
    plant_finished(redis, "images", more)
    path = "/tasks?queue=images&state=finished&task=shop.resize&outcome=succeeded"
    found = ids_of_pages(app, path, "Next ones")
    assert len(found) == len(set(found)) and {*found} == {*more, shop.finished[0]}


def test_a_search_finds_finished_tasks(shop: PlantedShop, app: Any, redis: Any) -> None:
    def found(query: str) -> list[str]:
        return ids(ask(app, f"/search?q={quote(query)}").text)

    assert found("task:shop.resize") == shop.finished[:2]
    assert found("task:shop.* reason:succeeded") == shop.finished[:3:2]
    # Of these Redis knows no arguments, headers or classes of exceptions.
    for other in ("size=3", "@tenant=acme", "exception:KeyError", "error:thumbnail", "thumb"):
        assert found(f"task:shop.resize {other}") == []
    # A dead task whose outcome is kept is there once.
    name = "shop.charge_card"
    plant_finished(redis, "mails", {id_of(shop.dead[4]): (name, "rejected", "x")})
    assert found(f"task:{name} reason:rejected") == [id_of(shop.dead[4])]
    there = ask(app, f"/search?q={shop.finished[1]}")
    assert there.status == 303 and shop.finished[1] in there.headers["location"]


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("reason:rejected", [4]),
        ("task:shop.send_* reason:failed", [5, 6]),
        ('error:"550 no such"', [5]),
        ("order=1003", [3]),
        ("0=customer-2", [4]),
    ],
)
def test_a_search_finds_dead_tasks(
    shop: PlantedShop, app: Any, query: str, places: list[int]
) -> None:
    text = ask(app, f"/search?q={quote(query)}").text
    assert sorted(ids(text)) == sorted(id_of(shop.dead[place]) for place in places)


def test_a_search_finds_tasks_of_all_queues_and_leads_to_an_id(
    shop: PlantedShop, app: Any, redis: Any
) -> None:
    waits = message("other.task", ["needle"])
    Scripts(redis, "images").enqueue(waits)
    text = ask(app, "/search?q=needle").text
    assert ids(text) == [id_of(waits)] and "queue?name=images" in text
    there = ask(app, f"/search?q={id_of(waits)}")
    assert there.status == 303 and there.headers["location"].startswith("/task?queue=images&id=")
    assert "No task matches" in ask(app, "/search?q=no-such-text").text
    assert ids(ask(app, f"/search?q=id:{id_of(waits)[:-1]}*+needle").text) == [id_of(waits)]
    assert "no id begins with" in ask(app, "/search?q=id:x*").text
    assert "<script>alert" not in ask(app, f"/search?q={quote(HOSTILE)}").text


def test_the_words_of_a_search_are_read() -> None:
    query = parse('task:shop.* order=17 @tenant="a b" reason:failed some "more text"')
    assert (query.name, query.reason, query.text) == ("shop.*", "failed", "some more text")
    assert parse("id:019AA0C2* x").id == "019aa0c2*"
    assert query.arguments == {"order": "17"} and query.headers == {"tenant": "a b"}
