"""The tools of an operator on the dashboard, in headless Chromium: causes, jobs, strikes, locks,
the audit, and the numbers that workers count."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import key
from playwright.sync_api import Page, expect
from support.dashboard_browser import PATIENCE, chromium
from support.planted_operations import plant_report
from support.planted_shop import PlantedShop, id_of, message, task_id
from support.scripts import Scripts

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium"),
    # One browser and one dashboard for all of these.
    pytest.mark.xdist_group("dashboard"),
]
expect.set_options(timeout=PATIENCE)


def state(page: Page) -> Any:
    return page.locator("#live-job .chip").first


def fact(page: Page, name: str) -> Any:
    """The value next to a name on the page of a job."""
    return page.locator("#live-job .facts div").filter(has_text=name).locator("dd")


def test_an_operator_replays_one_cause_of_death(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/dead?queue=mails")
    operator.get_by_role("link", name="By cause").click()
    row = operator.get_by_role("row").filter(has_text="shop.charge_card")
    expect(row).to_contain_text("rejected")
    failed = operator.get_by_role("row").filter(has_text="SMTPServerDisconnected")
    expect(failed).to_contain_text("tasks/mails.py:42 in send_mail")
    row.get_by_text("Replay…").click()
    question = row.locator("details[open]")
    question.get_by_label("for real").check()
    question.get_by_role("button", name="Replay").click()
    expect(operator.get_by_role("status")).to_contain_text("The job has begun.")
    expect(state(operator)).to_have_text("done")
    expect(fact(operator, "Changed")).to_have_text("1")
    assert shop.redis.zcard(key("dead", "mails")) == 6
    operator.goto("/dead/groups?queue=mails")
    expect(row).to_have_count(0)
    # The list of one cause has its tasks alone.
    operator.get_by_role("link", name="shop.render_report").click()
    expect(operator.locator("tbody tr")).to_have_count(1)
    expect(operator.get_by_text("Only the tasks of one cause.")).to_be_visible()


def test_a_dry_run_counts_and_is_then_run_for_real(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/jobs")
    operator.locator("main select[name=queue]").select_option("mails")
    operator.locator("select[name=what]").select_option("delete dead")
    operator.get_by_label("Reason, of dead ones").fill("failed")
    operator.get_by_role("button", name="Start").click()
    expect(state(operator)).to_have_text("done")
    expect(fact(operator, "Would change")).to_have_text("3")
    assert shop.redis.zcard(key("dead", "mails")) == 7
    operator.get_by_text("Run for real…").click()
    operator.get_by_role("button", name="Run for real").click()
    expect(fact(operator, "Changed")).to_have_text("3")
    assert shop.redis.zcard(key("dead", "mails")) == 4
    operator.get_by_role("link", name="Jobs").first.click()
    expect(operator.get_by_role("row").filter(has_text="Delete dead")).to_have_count(2)


def test_a_job_shows_its_progress_stops_and_goes_on(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/jobs")
    operator.locator("main select[name=queue]").select_option("mails")
    operator.locator("select[name=what]").select_option("cancel waiting")
    operator.get_by_label("Tasks per second").fill("4")
    operator.get_by_label("for real").check()
    operator.get_by_role("button", name="Start").click()
    expect(state(operator)).to_have_text("running")
    expect(operator.get_by_role("button", name="Resume")).to_be_hidden()
    operator.evaluate("document.body.dataset.mark = 'the same page'")
    expect(fact(operator, "Changed")).to_have_text(re.compile("[2-9]|[0-9]{2,}"))
    assert operator.evaluate("document.body.dataset.mark") == "the same page"
    operator.get_by_role("button", name="Stop").click()
    expect(operator.get_by_role("status")).to_contain_text("stops after its present step")
    expect(state(operator)).to_have_text("stopped")
    expect(operator.get_by_role("button", name="Stop")).to_be_hidden()
    left = shop.redis.llen(key("pending", "mails"))
    assert 0 < left < 127
    operator.get_by_role("button", name="Resume").click()
    expect(operator.get_by_role("status")).to_contain_text("The job goes on.")
    expect(state(operator)).to_have_text("running")
    operator.get_by_role("button", name="Stop").click()
    expect(state(operator)).to_have_text("stopped")
    assert shop.redis.llen(key("pending", "mails")) < left


def test_a_purge_with_a_rate_is_a_job(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/queue?name=imports")
    operator.get_by_text("Purge…").click()
    operator.get_by_label("waiting (40)").check()
    operator.get_by_label("Tasks per second").fill("500")
    operator.get_by_role("button", name="Purge").click()
    expect(operator.locator("h1")).to_have_text("Delete waiting tasks")
    expect(state(operator)).to_have_text("done")
    expect(fact(operator, "Changed")).to_have_text("40")
    assert shop.redis.llen(key("pending", "imports")) == 0


def test_a_wrong_job_is_refused_in_words(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/jobs")
    operator.get_by_label("Tasks per second").fill("fast")
    operator.get_by_role("button", name="Start").click()
    expect(operator.get_by_role("status")).to_contain_text("That can't be a job")


def test_an_operator_moves_a_task_to_another_queue(operator: Page, shop: PlantedShop) -> None:
    operator.goto(f"/task?queue=mails&id={id_of(shop.waiting)}")
    operator.get_by_text("Move…").click()
    names = operator.locator("datalist#queues option")
    expect(names).to_have_count(4)
    assert names.evaluate_all("all => all.map(each => each.value)").count("mails") == 0
    operator.get_by_label("To the queue").fill("reports")
    operator.get_by_role("button", name="Move").click()
    expect(operator.get_by_role("status")).to_contain_text("The task is in this queue now.")
    expect(operator.locator(".trail")).to_have_text("reports")
    assert shop.redis.zscore(key("delayed", "reports"), shop.waiting) is not None
    assert shop.redis.llen(key("pending", "mails")) == 126
    operator.goto("/dead?queue=mails")
    operator.locator("tbody th a").first.click()
    operator.get_by_text("Move…").click()
    operator.get_by_label("To the queue").fill("mails")
    operator.get_by_role("button", name="Move").click()
    expect(operator.get_by_role("status")).to_contain_text("name another queue")
    expect(operator.locator("h1")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_an_open_question_is_not_cut(operator: Page, shop: PlantedShop, width: int) -> None:
    operator.set_viewport_size({"width": width, "height": 860})
    for page in ("task", "dead-task", "queue", "causes", "periodic"):
        operator.goto(shop.addresses()[page])
        questions = operator.locator("details.confirm")
        assert questions.count() > 0, page
        for at in range(questions.count()):
            questions.nth(at).locator("summary").click()
            box = questions.nth(at).locator("form").bounding_box()
            assert box is not None and box["x"] >= 0, (page, at)
            # A table can be scrolled.
            in_table = questions.nth(at).locator("xpath=ancestor::table").count()
            assert in_table or box["x"] + box["width"] <= width, (page, at)
            fits = "document.documentElement.scrollWidth <= innerWidth"
            assert operator.evaluate(fits), (page, at)
            folder = os.environ.get("FLUXQUEUE_SCREENSHOTS")
            if folder is not None and page == "task":
                operator.screenshot(path=Path(folder) / f"question-{at}-{width}.png")
            questions.nth(at).locator("summary").click()


def test_an_operator_strikes_tasks_and_lifts_that(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/strikes")
    operator.locator("main select[name=queue]").select_option("reports")
    operator.locator("main input[name=task]").fill("shop.render_report")
    operator.get_by_label("Argument").fill("0=2026")
    operator.get_by_role("button", name="Strike").click()
    expect(operator.get_by_role("status")).to_contain_text("from their next exchange on")
    row = operator.get_by_role("row").filter(has_text="shop.render_report")
    expect(row).to_contain_text("2026")
    assert shop.redis.hlen(key("strikes", "reports")) == 1
    row.get_by_role("button", name="Lift").click()
    expect(operator.get_by_role("status")).to_contain_text("The strike is lifted.")
    expect(row).to_have_count(0)
    assert shop.redis.hlen(key("strikes", "reports")) == 0


def test_the_locks_of_a_queue_lead_to_the_tasks_that_hold_them(
    operator: Page, shop: PlantedShop
) -> None:
    operator.goto("/locks")
    operator.locator("main select[name=queue]").select_option("imports")
    rows = operator.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="a call may replace it")).to_contain_text("shop.index")
    row = rows.filter(has_text="feeds.example/books")
    row.get_by_role("link").click()
    expect(operator.locator("h1")).to_have_text("shop.import_feed")
    expect(operator.get_by_text("feeds.example/books").first).to_be_visible()


def test_the_audit_has_the_changes_of_an_operator(operator: Page, shop: PlantedShop) -> None:
    operator.goto("/queue?name=images")
    operator.get_by_role("button", name="Pause").click()
    operator.goto("/audit")
    first = operator.locator("tbody tr").first
    expect(first.get_by_role("rowheader")).to_have_text("ada")
    expect(first).to_contain_text("pause")
    expect(first).to_contain_text("images")
    operator.locator("main select[name=queue]").select_option("reports")
    expect(operator.locator("tbody tr")).to_have_count(3)
    expect(operator.locator("tbody tr").nth(2)).to_contain_text("grace@example.com")


def test_pages_show_rates_times_memory_and_the_tasks_that_run(
    viewer: Page, shop: PlantedShop
) -> None:
    viewer.goto("/")
    throughput = viewer.locator(".tile.rate")
    expect(throughput).to_contain_text("/s")
    row = viewer.get_by_role("row").filter(has_text="mails")
    expect(row).to_contain_text("13/s")
    viewer.goto("/queue?name=mails")
    expect(viewer.locator(".tile.pending")).to_contain_text("the oldest for")
    expect(viewer.locator(".tile.rate")).to_contain_text("2.3% failed")
    expect(viewer.locator(".tile.run")).to_contain_text("95%: ")
    names = viewer.locator("#live-names tbody tr")
    expect(names).to_have_count(2)
    expect(names.first).to_contain_text("12.1/s")
    running = viewer.locator("#live-running tbody tr")
    expect(running).to_have_count(1)
    expect(running).to_contain_text("shop.send_mail")
    expect(viewer.locator("#live-workers")).to_contain_text("96 MiB")
    # Another task begins.
    id_ = task_id(3)
    plant_report(shop.redis, "mails", "web-2-811-mails", 1 << 30, {id_: ("shop.late", 3.0)})
    expect(running).to_have_count(2)
    expect(viewer.locator("#live-workers")).to_contain_text("1 GiB")
    viewer.goto("/workers")
    expect(viewer.get_by_role("row").filter(has_text="batch-1")).to_contain_text("640 MiB")
    expect(viewer.get_by_role("row").filter(has_text="811")).to_contain_text("shop.late")


def test_workers_are_asked_to_count_while_a_page_is_open(viewer: Page, shop: PlantedShop) -> None:
    viewer.goto("/")
    Scripts(shop.redis, "new").enqueue(message("more"))
    shop.redis.sadd(key("queues"), "new")
    expect(viewer.get_by_role("row").filter(has_text="new")).to_be_visible()
    assert 0 < shop.redis.ttl(key("watched", "new")) <= 120
