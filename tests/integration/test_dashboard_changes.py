"""Each change of the dashboard: an operator can make it; no other visitor can, in any way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue_control.strikes import Strike
from fluxqueue_core import Settings, key
from fluxqueue_dashboard.access import Access, Person
from fluxqueue_dashboard.app import build
from fluxqueue_dashboard.changes import CHANGES
from fluxqueue_dashboard.notices import NOTICES
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from support.asgi import Answer, ask
from support.dashboard_forms import forms
from support.planted_shop import PlantedShop, id_of, message
from support.scripts import Scripts, field

OPERATOR, VIEWER = "o" * 20, "v" * 20
PEOPLE = (Person.of("ada", "operator", OPERATOR), Person.of("bob", "viewer", VIEWER))
READERS = re.compile(rb"\}:(watched$|dead:group)")
HERE = {"sec-fetch-site": "same-origin"}
AS_OPERATOR = {"authorization": f"Bearer {OPERATOR}"} | HERE
AS_VIEWER = {"authorization": f"Bearer {VIEWER}"} | HERE
ELSEWHERE = {"authorization": f"Bearer {OPERATOR}", "sec-fetch-site": "cross-site"}


@pytest.fixture
def shop(redis: Any, redis_url: str) -> Iterator[PlantedShop]:
    planted = PlantedShop(redis, redis_url)
    yield planted
    planted.close()


@pytest.fixture
def app(redis_url: str) -> Iterator[Any]:
    application, context = build(Settings(redis_url), Access(PEOPLE, anyone="viewer"))
    yield application
    context.close()


def contents(redis: Any) -> dict[bytes, bytes]:
    """Everything that is in the database, without what readers write: that they watch, and the
    index of causes."""
    names = [n for n in redis.scan_iter(count=1_000) if not READERS.search(n)]
    return {name: redis.dump(name) for name in names}


def post(app: Any, verb: str, form: dict[str, str]) -> Answer:
    answer = ask(app, f"/changes/{verb}", "POST", form=form, headers=AS_OPERATOR)
    assert answer.status == 303, answer.text
    return answer


def notice(answer: Answer) -> str:
    """The key of what the next page says."""
    _, _, rest = answer.headers["location"].partition("done=")
    return rest.partition("&")[0]


def test_every_change_is_tried() -> None:
    planted = {"waiting": b"x" * 50, "delayed": b"x" * 50, "dead": [message("x")] * 5}
    fake: Any = type("Shop", (), {**planted, "job": staticmethod(str)})
    assert forms(fake).keys() == CHANGES.keys()


def test_the_one_route_that_is_not_only_read_is_that_of_the_changes(app: Any) -> None:
    # So a new route is either read by GET, which the tests below try, or makes them fail.
    changing = {
        route.path
        for route in app.app.routes
        if not isinstance(route, Mount) and route.methods - {"GET", "HEAD"}
    }
    assert changing == {"/changes/{verb}"}
    [mounted] = [route for route in app.app.routes if isinstance(route, Mount)]
    assert isinstance(mounted.app, StaticFiles)


def test_every_page_is_looked_at(shop: PlantedShop, app: Any) -> None:
    pages = {path.partition("?")[0] for path in shop.addresses().values()}
    paths = {each.path for each in app.app.routes if isinstance(each, Route)}
    assert paths - pages == {"/live", "/sign-in", "/livez", "/changes/{verb}"}


def test_only_an_operator_can_change_anything(shop: PlantedShop, app: Any, redis: Any) -> None:
    before = contents(redis)
    for verb, form in forms(shop).items():
        path = f"/changes/{verb}"
        query = "&".join(f"{name}={value}" for name, value in form.items())
        tries = {
            "viewer": ask(app, path, "POST", form=form, headers=AS_VIEWER).status,
            "anyone": ask(app, path, "POST", form=form, headers=HERE).status,
            "wrong": ask(
                app, path, "POST", form=form, headers=HERE | {"authorization": "Bearer no"}
            ).status,
            "elsewhere": ask(app, path, "POST", form=form, headers=ELSEWHERE).status,
            "get": ask(app, f"{path}?{query}", headers=AS_OPERATOR).status,
            "put": ask(app, path, "PUT", form=form, headers=AS_OPERATOR).status,
            "other page": ask(app, "/", "POST", form=form, headers=AS_OPERATOR).status,
        }
        assert tries == {
            "viewer": 403,
            "anyone": 403,
            "wrong": 401,
            "elsewhere": 403,
            "get": 405,
            "put": 405,
            "other page": 405,
        }, verb
    assert contents(redis) == before


def test_pages_change_nothing(shop: PlantedShop, app: Any, redis: Any) -> None:
    before = contents(redis)
    for path in shop.addresses().values():
        assert ask(app, path, headers=AS_OPERATOR).status == 200, path
        assert 'method="post"' not in ask(app, path, headers=AS_VIEWER).text, path
    assert contents(redis) == before


def test_the_audit_names_the_visitor(shop: PlantedShop, app: Any, redis: Any) -> None:
    for verb, form in forms(shop).items():
        if verb == "job-stop":
            continue  # the job of the shop does not run
        stream, before = key("audit", form["queue"]), b"0"
        if redis.exists(stream):
            before = redis.xinfo_stream(stream)["last-generated-id"]
        post(app, verb, form)
        # A change of many calls has another entry at its end.
        entries = redis.xrange(stream, min=b"(" + before)
        assert entries and entries[0][1][b"who"] == b"ada", verb


def test_an_operator_pauses_and_resumes(shop: PlantedShop, app: Any, redis: Any) -> None:
    assert notice(post(app, "pause", {"queue": "mails"})) == "paused"
    assert redis.exists(key("paused", "mails"))
    assert notice(post(app, "resume", {"queue": "mails"})) == "resumed"
    assert not redis.exists(key("paused", "mails"))


@pytest.mark.parametrize(("part", "count"), [("waiting", 127), ("delayed", 1), ("dead", 7)])
def test_an_operator_purges(shop: PlantedShop, app: Any, redis: Any, part: str, count: int) -> None:
    answer = post(app, "purge", {"queue": "mails", "part": part})
    assert answer.headers["location"] == f"/queue?name=mails&done=purged&count={count}"
    left = {
        "waiting": redis.llen(key("pending", "mails")),
        "delayed": redis.zcard(key("delayed", "mails")),
        "dead": redis.zcard(key("dead", "mails")),
    }
    assert {name for name, number in left.items() if not number} == {part}


def test_an_operator_deletes_a_task_that_waits(shop: PlantedShop, app: Any, redis: Any) -> None:
    form = {"queue": "mails", "id": id_of(shop.waiting)}
    assert notice(post(app, "delete-task", form)) == "deleted"
    assert shop.waiting not in redis.lrange(key("pending", "mails"), 0, -1)
    assert notice(post(app, "delete-task", form)) == "absent"
    running = {"queue": "mails", "id": id_of(shop.running)}
    assert notice(post(app, "delete-task", running)) == "running"


def test_an_operator_runs_a_delayed_task_now(shop: PlantedShop, app: Any, redis: Any) -> None:
    form = {"queue": "mails", "id": id_of(shop.delayed)}
    assert notice(post(app, "run-now", form)) == "moved"
    assert redis.lindex(key("pending", "mails"), 0) == shop.delayed
    assert notice(post(app, "run-now", form)) == "not_delayed"


def test_an_operator_cancels_tasks_that_wait_and_run(
    shop: PlantedShop, app: Any, redis: Any
) -> None:
    for of, answer in ((shop.waiting, "cancelled"), (shop.running, "requested")):
        form = {"queue": "mails", "id": id_of(of)}
        assert notice(post(app, "cancel", form)) == answer
        assert redis.zscore(key("cancelled", "mails"), id_of(of)) is not None


def test_an_operator_requeues_and_deletes_dead_tasks(
    shop: PlantedShop, app: Any, redis: Any
) -> None:
    entries = [field(of).hex() for of in shop.dead]
    chosen = [("queue", "mails"), *(("entry", entry) for entry in entries[1:4])]
    answer = ask(app, "/changes/requeue", "POST", form=chosen, headers=AS_OPERATOR)
    assert answer.headers["location"] == "/dead?queue=mails&done=requeued&count=3"
    assert redis.zcard(key("dead", "mails")) == 4
    ids = {id_of(of) for of in redis.lrange(key("pending", "mails"), 0, 2)}
    assert ids == {id_of(of) for of in shop.dead[1:4]}
    again = post(app, "requeue", {"queue": "mails", "entry": entries[1]})
    assert notice(again) == "absent"
    gone = post(app, "delete-dead", {"queue": "mails", "entry": entries[0]})
    assert gone.headers["location"].endswith("done=deleted-dead&count=1")
    assert redis.zscore(key("dead", "mails"), bytes.fromhex(entries[0])) is None
    assert notice(post(app, "requeue", {"queue": "mails"})) == "none-chosen"
    assert notice(post(app, "delete-dead", {"queue": "mails"})) == "none-chosen"


@pytest.mark.parametrize("place", ["waiting", "delayed", "dead", "entry"])
def test_an_operator_moves_a_task(shop: PlantedShop, app: Any, redis: Any, place: str) -> None:
    raw = {"waiting": shop.waiting, "delayed": shop.delayed}.get(place, shop.dead[3])
    form = {"queue": "mails", "id": id_of(raw), "target": "images"}
    verb = "move-task"
    if place == "entry":
        verb, form = "move-dead", {"queue": "mails", "target": "images", "entry": field(raw).hex()}
    answer = post(app, verb, form)
    there = f"/task?queue=images&id={id_of(raw)}"
    assert answer.headers["location"] == f"{there}&done=relocated"
    [moved] = redis.zrange(key("delayed", "images"), 0, -1)
    assert id_of(moved) == id_of(raw)
    assert "is in this queue now" in ask(app, f"{there}&done=relocated", headers=AS_VIEWER).text
    assert notice(post(app, verb, form)) == "absent"
    assert redis.zcard(key("delayed", "images")) == 1


def test_a_move_that_can_not_be_made_says_why_and_stays_on_the_page(
    shop: PlantedShop, app: Any, redis: Any
) -> None:
    bound = message("shop.send_mail", [1]).replace(b'{"v":1', b'{"v":2', 1)
    bound = bound.replace(b',"name"', b',"opts":{"r":60000},"name"', 1)
    Scripts(redis, "mails").enqueue(bound)
    running, dead = id_of(shop.running), field(shop.dead[2]).hex()
    tries: list[tuple[str, dict[str, str], str, str]] = [
        ("move-task", {"id": running, "target": "images"}, "running", "/task"),
        ("move-task", {"id": id_of(bound), "target": "images"}, "move-bound", "/task"),
        ("move-task", {"id": id_of(shop.waiting), "target": "mails"}, "move-wrong", "/task"),
        ("move-task", {"id": id_of(shop.waiting), "target": "a b"}, "move-wrong", "/task"),
        ("move-task", {"id": id_of(shop.waiting)}, "move-wrong", "/task"),
        ("move-dead", {"entry": dead, "target": "mails"}, "move-wrong", "/dead/task"),
        ("move-dead", {"entry": dead}, "move-wrong", "/dead/task"),
    ]
    before = contents(redis)
    for verb, form, said, page in tries:
        answer = post(app, verb, {"queue": "mails", **form})
        assert notice(answer) == said, form
        assert answer.headers["location"].startswith(f"{page}?queue=mails&"), form
        assert ask(app, answer.headers["location"], headers=AS_VIEWER).status == 200
    # The audit has the tries that Redis has answered.
    assert {n: v for n, v in contents(redis).items() if b":audit" not in n} == {
        n: v for n, v in before.items() if b":audit" not in n
    }


def test_an_operator_changes_periodic_tasks(shop: PlantedShop, app: Any, redis: Any) -> None:
    form = {"queue": "images", "id": "clean-cache"}
    assert notice(post(app, "periodic-pause", form)) == "periodic-paused"
    assert ">paused<" in ask(app, "/periodic", headers=AS_VIEWER).text
    assert notice(post(app, "periodic-resume", form)) == "periodic-resumed"
    assert ">paused<" not in ask(app, "/periodic", headers=AS_VIEWER).text
    assert notice(post(app, "periodic-run", form)) == "periodic-run"
    assert redis.llen(key("pending", "images")) == 1
    assert notice(post(app, "periodic-remove", form)) == "periodic-removed"
    assert redis.hlen(key("periodic", "images")) == 0
    for verb in ("periodic-pause", "periodic-resume", "periodic-run", "periodic-remove"):
        assert notice(post(app, verb, form)) == "absent"


def test_an_operator_changes_limits(shop: PlantedShop, app: Any) -> None:
    form = {"queue": "payments", "name": "stripe", "concurrency": "7", "rate": "1/s", "burst": "2"}
    assert notice(post(app, "limit-set", form)) == "limit-set"
    assert "7 at once, 1/s in bursts of 2" in ask(app, "/limits", headers=AS_VIEWER).text
    clear = {"queue": "payments", "name": "stripe"}
    assert notice(post(app, "limit-clear", clear)) == "limit-cleared"
    assert "2 at once" in ask(app, "/limits", headers=AS_VIEWER).text
    assert notice(post(app, "limit-clear", clear)) == "absent"
    for wrong in ({"rate": "x"}, {"concurrency": "-1"}, {"burst": "0"}, {"concurrency": "9" * 30}):
        assert notice(post(app, "limit-set", form | wrong)) == "limit-wrong"


@pytest.mark.parametrize(
    ("verb", "form", "status"),
    [
        ("no-such-change", {"queue": "mails"}, 404),
        ("pause", {}, 400),
        ("pause", {"queue": "no queue"}, 400),
        ("pause", {"queue": ""}, 400),
        ("purge", {"queue": "mails", "part": "claimed"}, 400),
        ("purge", {"queue": "mails"}, 400),
        ("requeue", {"queue": "mails", "entry": "xyz"}, 400),
        ("move-dead", {"queue": "mails", "target": "images"}, 400),
        ("move-task", {"queue": "mails", "target": "images"}, 400),
        # In a pattern of Redis it would stand for any task.
        ("move-task", {"queue": "mails", "id": "*", "target": "images"}, 400),
        ("delete-task", {"queue": "mails", "id": "*"}, 400),
        ("run-now", {"queue": "mails", "id": "0*"}, 400),
        ("cancel", {"queue": "mails", "id": ""}, 400),
        ("pause", {"queue": "a" * 300_000}, 413),
    ],
)
def test_a_wrong_form_is_refused(
    app: Any, redis: Any, verb: str, form: dict[str, str], status: int
) -> None:
    answer = ask(app, f"/changes/{verb}", "POST", form=form, headers=AS_OPERATOR)
    assert answer.status == status
    assert contents(redis) == {}


def test_a_form_with_bytes_that_are_not_text_is_refused(app: Any, redis: Any) -> None:
    form: Any = {"queue": b"mails\xff"}
    answer = ask(app, "/changes/pause", "POST", form=form, headers=AS_OPERATOR)
    assert answer.status == 400
    assert contents(redis) == {}


def test_the_audit_of_all_queues_has_no_gap(shop: PlantedShop, app: Any, redis: Any) -> None:
    before = redis.time()[0] * 1_000
    for number in range(60):
        # Two queues, of which one has many changes, and they take turns at the end.
        queue = "mails" if number < 50 or number % 2 else "images"
        entry = {"who": "eve", "what": "pause", "on": f"change-{number:02}", "outcome": ""}
        redis.xadd(key("audit", queue), entry, id=f"{before + 10_000 + number}-0")
    text = ask(app, "/audit", headers=AS_VIEWER).text
    # Of the other queue there may be more before its last ones, but not after.
    assert re.findall("change-[0-9]+", text) == [f"change-{n:02}" for n in range(59, 34, -1)]
    page = ask(app, "/audit?queue=mails", headers=AS_VIEWER).text
    assert re.findall("change-[0-9]+", page)[-1] == "change-00"


def test_an_operator_strikes_and_lifts(shop: PlantedShop, app: Any, redis: Any) -> None:
    form = {"queue": "images", "task": "shop.resize", "argument": "user.id=7"}
    assert notice(post(app, "strike", form)) == "struck"
    assert notice(post(app, "strike", form)) == "struck-before"
    rule = Strike("shop.resize", "user.id", 7)
    assert redis.hkeys(key("strikes", "images")) == [rule.id.encode()]
    assert rule.id in ask(app, "/strikes", headers=AS_VIEWER).text
    assert notice(post(app, "lift", {"queue": "images", "id": rule.id})) == "lifted"
    assert notice(post(app, "lift", {"queue": "images", "id": rule.id})) == "no-strike"
    for wrong in ({"task": " "}, {"argument": "user.id"}, {"argument": "x=" + "y" * 600}):
        assert notice(post(app, "strike", form | wrong)) == "strike-wrong"


def test_a_redaction_hides_the_keys_of_locks_and_limits_and_the_values_of_strikes(
    shop: PlantedShop, redis_url: str
) -> None:
    def redact(part: str, task: str, value: Any) -> Any:
        return "[hidden]" if part in ("args", "kwargs") else value

    application, context = build(Settings(redis_url), Access(), redact=redact)
    paths = ("/locks?queue=imports", "/strikes", "/limits")
    locks, strikes, limits = (ask(application, path).text for path in paths)
    context.close()
    assert "shop.import_feed [hidden]" in locks and "feeds.example" not in locks
    assert "[hidden]" in limits and "acme" not in limits
    assert "customer.id" in strikes and "[hidden]" in strikes and "4242" not in strikes


def test_every_notice_is_known_and_no_address_can_add_words(app: Any) -> None:
    for name in NOTICES:
        assert 'class="notice' in ask(app, f"/?done={name}&count=5").text
    text = ask(app, "/?done=purged&count=%3Cscript%3E").text
    assert "Removed some tasks" in text
    assert 'class="notice' not in ask(app, "/?done=%3Cb%3Ehello").text


def test_a_mounted_dashboard_leads_back_to_itself(shop: PlantedShop, app: Any) -> None:
    answer = ask(
        *(app, "/changes/pause", "POST"),
        form={"queue": "mails"},
        headers=AS_OPERATOR,
        root_path="/ops",
    )
    assert answer.headers["location"].startswith("/ops/queue?name=mails")
    page = ask(app, "/queue?name=mails", headers=AS_OPERATOR, root_path="/ops").text
    assert 'action="/ops/changes/resume"' in page and 'href="/ops/dead' in page
    assert 'action="/changes' not in page and 'data-live="/ops/live?' in page


def test_a_task_in_a_queue_that_no_worker_has_served_is_found(app: Any, redis: Any) -> None:
    waits = message("work")
    Scripts(redis, "new").enqueue(waits)
    text = ask(app, f"/task?queue=new&id={id_of(waits)}").text
    assert "No worker serves queue" in text
