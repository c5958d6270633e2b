"""The dashboard as a person uses it, in headless Chromium: every page, in light and dark and on a
phone, with axe-core's rules for accessibility.

With FLUXQUEUE_SCREENSHOTS=docs/images/dashboard this makes the pictures of docs/dashboard.md again.
"""

from __future__ import annotations

import math
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_control.queues import Lengths
from fluxqueue_control.stats import Ends, Numbers, Window
from fluxqueue_core import key
from fluxqueue_dashboard.snapshot import SPAN, Past, QueueNow, Snapshot
from playwright.sync_api import Browser, Page, expect
from support.dashboard_browser import PATIENCE, Served, chromium, opened
from support.planted_shop import HOSTILE, PlantedShop, id_of, message
from support.scripts import Scripts, field

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium"),
    # One browser and one dashboard for all of these.
    pytest.mark.xdist_group("dashboard"),
]
expect.set_options(timeout=PATIENCE)
# Best practices count as well as the criteria of WCAG 2.2 AA.
RULES = {"resultTypes": ["violations"]}
# The number of tests that share the pages, so that each of them is short.
PARTS = 4
# Pixels of a picture: a list of many tasks is cut, so that its file is small.
TALLEST = 1_500


def dead_address(shop: PlantedShop, place: int) -> str:
    return f"/dead/task?queue=mails&entry={field(shop.dead[place]).hex()}"


def remember(dash: Served) -> None:
    """Gives the graphs five minutes of past, which end with what is planted."""
    past, now = Past(), time.time()
    planted = {
        "mails": {"pending": 127, "delayed": 1, "claimed": 2, "dead": 7, "ends": 762},
        "reports": {"pending": 49, "delayed": 1, "claimed": 1, "dead": 0, "ends": 12},
        "images": {"pending": 0, "delayed": 0, "claimed": 0, "dead": 0, "ends": 2_412},
    }
    for n in range(149):
        left = 148 - n
        wave = 1 + (math.sin(left / 17) + math.sin(left / 5) / 6) * min(left / 60, 0.8)
        queues = [
            QueueNow(
                name,
                Lengths(
                    pending=round(end["pending"] * wave),
                    suspects=0,
                    delayed=end["delayed"] + left // 8 * (end["delayed"] > 0),
                    claimed=end["claimed"] + min(left, 6 + n % 3) * (end["claimed"] > 0),
                    dead=max(end["dead"] - left // 30, 0),
                ),
                False,
                (),
                window=Window(Numbers(Ends(round(end["ends"] * wave), 0, end["dead"])), 60.0),
            )
            for name, end in planted.items()
        ]
        past.add(Snapshot(now - SPAN + 2 * n, queues))
    # In one step: the dashboard's thread draws meanwhile.
    dash.context.past = past


def pictures() -> Path | None:
    folder = os.environ.get("FLUXQUEUE_SCREENSHOTS")
    if folder is None:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def faults(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(
    operator: Page, shop: PlantedShop, dash: Served, scheme: Any, part: int
) -> None:
    operator.emulate_media(color_scheme=scheme)
    found: dict[str, list[str]] = {}
    for name, path in list(shop.addresses().items())[part::PARTS]:
        for device, width in (("wide", 1280), ("phone", 390)):
            operator.set_viewport_size({"width": width, "height": 860})
            remember(dash)
            operator.goto(path)
            expect(operator.locator("h1")).to_be_visible()
            folder = pictures()
            if folder is not None:
                file = folder / f"{name}-{scheme}-{device}.png"
                tall = operator.evaluate("document.documentElement.scrollHeight")
                area: Any = {"x": 0, "y": 0, "width": width, "height": min(tall, TALLEST)}
                operator.screenshot(path=file, full_page=True, clip=area)
            fits = "document.documentElement.scrollWidth <= innerWidth"
            if not operator.evaluate(fits):
                found[f"{name} {device}"] = ["it is wider than the screen"]
            if device == "wide" and (broken := faults(operator)):
                found[name] = broken
    assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_without_anything_say_so(
    browser: Browser, dash: Served, server: EmbeddedRedis, scheme: Any
) -> None:
    from redis import Redis

    with Redis.from_url(server.url) as redis:
        redis.flushall()
    wanted = {
        "/": "No queue yet",
        "/dead": "No dead task",
        "/workers": "No worker runs",
        "/periodic": "No periodic task",
        "/limits": "No limit",
        "/dead/groups": "No dead task",
        "/jobs": "No job",
        "/strikes": "No strike",
        "/locks": "No lock",
        "/audit": "No change",
        "/search": "What you can look for",
    }
    with opened(browser, dash.url, is_operator=False, color_scheme=scheme) as page:
        for path, text in wanted.items():
            page.goto(path)
            expect(page.get_by_text(text).first).to_be_visible()
            folder = pictures()
            if folder is not None:
                name = path.strip("/").replace("/", "-") or "overview"
                page.screenshot(path=folder / f"empty-{name}-{scheme}.png")
            assert faults(page) == [], path


def test_a_viewer_sees_no_way_to_change_anything(viewer: Page, shop: PlantedShop) -> None:
    for name, path in shop.addresses().items():
        viewer.goto(path)
        expect(viewer.locator("h1")).to_be_visible()
        assert viewer.locator("form[method=post]").count() == 0, name


def test_hostile_text_is_text(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/dead?queue=mails")
    expect(operator.get_by_role("link", name=HOSTILE)).to_be_visible()
    operator.goto(dead_address(shop, 0))
    expect(operator.locator("h1")).to_have_text(HOSTILE)
    assert operator.locator("main img, main script").count() == 0
    operator.goto("/search?q=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    expect(operator.get_by_text("No task matches")).to_be_visible()


def test_numbers_live_without_a_reload(viewer: Page, shop: PlantedShop) -> None:
    viewer.goto("/queue?name=mails")
    waiting = viewer.locator(".tile.pending dd").first
    expect(waiting).to_have_text("127")
    viewer.evaluate("document.body.dataset.mark = 'the same page'")
    Scripts(shop.redis, "mails").enqueue(message("more"), message("more"))
    expect(waiting).to_have_text("129")
    shop.redis.set(key("paused", "mails"), "1")
    expect(viewer.locator("#live-state")).to_have_text("paused")
    assert viewer.evaluate("document.body.dataset.mark") == "the same page"
    viewer.goto("/")
    Scripts(shop.redis, "reports").enqueue(message("more"))
    row = viewer.get_by_role("row").filter(has_text="reports")
    expect(row.get_by_role("cell").nth(1)).to_have_text("5")
    viewer.goto("/workers")
    Scripts(shop.redis, "images").open("c", lease=60_000, who='{"host":"new-1","pid":5}')
    expect(viewer.get_by_role("rowheader", name="new-1")).to_be_visible()


def test_an_operator_pauses_a_queue_and_resumes_it(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/")
    operator.get_by_role("link", name="mails").first.click()
    operator.get_by_role("button", name="Pause").click()
    expect(operator.get_by_role("status")).to_contain_text("The queue is paused.")
    assert shop.redis.exists(key("paused", "mails"))
    operator.get_by_role("button", name="Resume").click()
    expect(operator.get_by_role("status")).to_contain_text("The queue is resumed.")
    assert not shop.redis.exists(key("paused", "mails"))


def test_an_operator_purges_a_place(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/queue?name=mails")
    operator.get_by_text("Purge…").click()
    operator.get_by_label("delayed (1)").check()
    operator.get_by_role("button", name="Purge").click()
    expect(operator.get_by_role("status")).to_contain_text("Removed 1 tasks.")
    assert shop.redis.zcard(key("delayed", "mails")) == 0
    assert shop.redis.llen(key("pending", "mails")) == 127


def test_an_operator_requeues_chosen_tasks_and_deletes_one(
    operator: Page, shop: PlantedShop
) -> None:
    operator.goto("/dead?queue=mails")
    for place in (1, 2):
        operator.get_by_role("checkbox").nth(place).check()
    operator.get_by_role("button", name="Replay chosen").click()
    expect(operator.get_by_role("status")).to_contain_text("2 tasks wait for a worker again.")
    assert shop.redis.zcard(key("dead", "mails")) == 5
    operator.goto(dead_address(shop, 6))
    operator.get_by_text("Delete…").click()
    operator.get_by_role("button", name="Delete").click()
    expect(operator.get_by_role("status")).to_contain_text("Deleted 1 dead tasks.")
    operator.goto(dead_address(shop, 5))
    operator.get_by_role("button", name="Replay").click()
    expect(operator.get_by_role("status")).to_contain_text("1 tasks wait")
    operator.goto("/dead?queue=mails")
    operator.locator("input[data-all]").check()
    operator.get_by_role("button", name="Delete chosen").click()
    expect(operator.get_by_text("No dead task")).to_be_visible()


def test_a_filter_changes_the_list_and_the_address_alone(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/dead?queue=mails")
    rows = operator.locator("tbody tr")
    expect(rows).to_have_count(7)
    operator.evaluate("document.body.dataset.mark = 'the same page'")
    operator.get_by_label("Error has").fill("no such USER")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("550 no such user")
    operator.get_by_label("Error has").fill("")
    operator.get_by_label("Reason").select_option("worker_lost")
    expect(rows).to_have_count(1)
    expect(operator).to_have_url(re.compile("reason=worker_lost"))
    # The rows that came by the filter can be chosen and changed too.
    operator.locator("input[data-all]").check()
    expect(operator.get_by_role("checkbox").nth(1)).to_be_checked()
    operator.get_by_label("Reason").select_option("duplicate")
    expect(operator.get_by_text("No match")).to_be_visible()
    assert operator.evaluate("document.body.dataset.mark") == "the same page"


def test_a_task_says_where_it_is_and_what_happened(operator: Page, shop: PlantedShop) -> None:
    operator.goto(f"/task?queue=mails&id={id_of(shop.waiting)}")
    expect(operator.locator(".why")).to_contain_text("126 tasks are ahead of it.")
    expect(operator.get_by_text("grace@example.com")).to_be_visible()
    operator.goto(f"/task?queue=mails&id={id_of(shop.running)}")
    expect(operator.get_by_text("web-1, process 4711")).to_be_visible()
    trace = operator.get_by_role("link", name="Trace")
    expect(trace).to_have_attribute("href", "http://trace.example/0af7651916cd43dd8448eb211c80319c")
    operator.goto(dead_address(shop, 6))
    expect(operator.get_by_text("Dead: failed")).to_be_visible()
    expect(operator.get_by_text("2 attempts failed")).to_be_visible()
    expect(operator.get_by_text("connection.send(message)")).to_be_visible()


def test_an_operator_changes_tasks_that_wait(operator: Page, shop: PlantedShop) -> None:
    operator.goto(f"/task?queue=mails&id={id_of(shop.delayed)}")
    operator.get_by_role("button", name="Run now").click()
    expect(operator.get_by_role("status")).to_contain_text("as soon as a worker is free")
    operator.get_by_text("Delete…").click()
    operator.get_by_role("button", name="Delete").click()
    expect(operator.get_by_role("status")).to_contain_text("The task is deleted.")
    operator.goto(f"/task?queue=mails&id={id_of(shop.waiting)}")
    operator.get_by_text("Cancel…").click()
    operator.get_by_role("button", name="Cancel").click()
    expect(operator.get_by_role("status")).to_contain_text("The task is cancelled")


def test_an_operator_changes_periodic_tasks(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/periodic")
    row = operator.get_by_role("row").filter(has_text="clean-cache")
    row.get_by_role("button", name="Run now").click()
    expect(operator.get_by_role("status")).to_contain_text("A run is in the queue.")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("active")
    row.get_by_text("Remove…").click()
    row.get_by_role("button", name="Remove").click()
    expect(operator.get_by_role("status")).to_contain_text("is removed")
    expect(row).to_have_count(0)


def test_an_operator_changes_limits(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/limits")
    row = operator.get_by_role("row").filter(has_text="stripe")
    row.get_by_text("Change…").click()
    row.get_by_label("At once").fill("9")
    row.get_by_role("button", name="Change").click()
    expect(row).to_contain_text("9 at once")
    row.get_by_role("button", name="Back to the code").click()
    expect(row).to_contain_text("2 at once")


def arrives_at(page: Page, heading: str) -> None:
    """Waits for the page and for its script: a key pressed before that is lost."""
    expect(page.locator("h1")).to_have_text(heading)
    page.wait_for_load_state()


def test_the_keyboard_does_everything(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/")
    operator.keyboard.press("Tab")
    expect(operator.get_by_text("Skip to the content")).to_be_focused()
    operator.keyboard.press("Enter")
    operator.keyboard.press("j")
    operator.keyboard.press("j")
    expect(operator.locator("tbody tr").nth(1).get_by_role("link").first).to_be_focused()
    operator.keyboard.press("k")
    operator.keyboard.press("Enter")
    arrives_at(operator, "mails")
    operator.keyboard.press("?")
    expect(operator.get_by_role("dialog")).to_be_visible()
    operator.keyboard.press("Escape")
    operator.keyboard.press("g")
    operator.keyboard.press("d")
    arrives_at(operator, "Dead tasks")
    for key_, heading in (("j", "Jobs"), ("s", "Strikes"), ("a", "Audit"), ("c", "Dead tasks")):
        operator.keyboard.press("g")
        operator.keyboard.press(key_)
        arrives_at(operator, heading)
    expect(operator).to_have_url(re.compile("/dead/groups"))
    operator.keyboard.press("/")
    operator.keyboard.type(id_of(shop.delayed))
    operator.keyboard.press("Enter")
    arrives_at(operator, "shop.send_mail")
    question = operator.locator("details.confirm").first
    question.locator("summary").focus()
    operator.keyboard.press("Enter")
    expect(question).to_have_attribute("open", "")
    operator.keyboard.press("Escape")
    expect(question).not_to_have_attribute("open", "")


def test_the_choice_of_dark_or_light_is_kept(viewer: Page) -> None:
    viewer.goto("/")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = viewer.evaluate(colour)
    viewer.get_by_role("button", name="Dark or light").click()
    dark = viewer.evaluate(colour)
    assert dark != light
    viewer.goto("/workers")
    assert viewer.evaluate(colour) == dark


def test_pages_work_without_scripts(browser: Browser, dash: Served, shop: PlantedShop) -> None:
    with opened(browser, dash.url, is_operator=True, java_script_enabled=False) as page:
        page.goto("/dead?queue=mails&text=550")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Delete chosen").click()
        expect(page.get_by_role("status")).to_contain_text("Deleted 1 dead tasks.")
        page.goto("/queue?name=mails")
        page.get_by_text("Purge…").click()
        page.get_by_label("dead (6)").check()
        page.get_by_role("button", name="Purge").click()
        expect(page.get_by_role("status")).to_contain_text("Removed 6 tasks.")


def test_another_site_can_change_nothing_with_the_proof_that_the_browser_has(
    browser: Browser, dash: Served, shop: PlantedShop
) -> None:
    form = (
        f'<form method="post" action="{dash.url}/changes/pause">'
        '<input name="queue" value="mails"><button>Win</button></form>'
    )
    # Chromium writes the status of a refused page to the console.
    with opened(browser, dash.url, is_operator=True, expected="403") as page:
        page.goto("/")
        page.route(
            "http://evil.example/",
            lambda route: route.fulfill(body=form, content_type="text/html"),
        )
        page.goto("http://evil.example/")
        with page.expect_response("**/changes/pause") as answer:
            page.get_by_role("button", name="Win").click()
        assert answer.value.status == 403
        expect(page.get_by_text("was not sent by a page of this dashboard")).to_be_visible()
    assert not shop.redis.exists(key("paused", "mails"))


def test_a_person_signs_in_by_a_link(browser: Browser, dash: Served, shop: PlantedShop) -> None:
    credentials = {"username": "ada", "password": "operator-0123456789"}
    options: dict[str, Any] = {"http_credentials": credentials}
    with opened(browser, dash.url, is_operator=False, **options) as page:
        page.goto("/")
        expect(page.locator("footer")).to_contain_text("anyone · viewer")
        page.get_by_role("link", name="Sign in").click()
        expect(page.locator("footer")).to_contain_text("ada · operator")
