"""The pages as a person sees them, in headless Chromium.

With FLUXQUEUE_SCREENSHOTS=docs/images this makes the pictures of the README again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from support.stack import Stack

CHROMIUM = os.environ.get("FLUXQUEUE_CHROMIUM")
# Milliseconds. The machine may be busy with four containers that work.
PATIENCE = 30_000

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")


@pytest.fixture
def page() -> Iterator[Page]:
    # Chromium has no sandbox for root, as who the CI runs.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield page
        browser.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("FLUXQUEUE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_person_places_an_order_and_looks_at_its_trace(
    stack: Stack, page: Page, pictures: Path
) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)

    page.goto(stack.shop_url)
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("Item").select_option("Kettle")
    page.get_by_label("Quantity").fill("2")
    page.get_by_label("Your card").select_option("refused-once")
    page.get_by_role("button", name="Place the order").click()
    notice = page.get_by_role("status")
    expect(notice).to_contain_text("Your order is number")
    number = re.search(r"\d+", notice.inner_text())
    assert number is not None
    order = page.locator(f"#order-{number[0]}")
    expect(order).to_contain_text("Ada Lovelace")
    # The page refreshes itself.
    expect(order.locator(".badge")).to_have_text("done")
    expect(order).to_contain_text("given up, attempt 3")

    # For the picture: orders at every stage.
    for name, card, quantity in (("Alan", "good", 1), ("Grace", "refused-once", 2)):
        stack.place(customer=name, card=card, quantity=quantity)
    slow = page.locator(f"#order-{stack.place(customer='Edsger', quantity=12)}")
    expect(slow.locator(".step.running")).to_contain_text("Pack the parcel")
    expect(page.locator(".step.retrying").first).to_be_visible()
    page.screenshot(path=pictures / "shop.png")
    assert problems == []

    link = order.get_by_role("link", name="Trace")
    trace_id = (link.get_attribute("href") or "").rpartition("/")[2]
    # Processes export a few seconds after the fact.
    stack.wait_for_trace(trace_id, lambda trace: bool(trace.named("dead default")))
    stack.wait_for_trace(trace_id, lambda trace: len(trace.named("ack default")) == 3)
    link.click()
    page.wait_for_url(f"{stack.viewer_url.replace('127.0.0.1', 'localhost')}/trace/*")
    expect(page.get_by_text("dead default").first).to_be_visible()
    page.screenshot(path=pictures / "trace.png")


def test_the_page_says_what_is_wrong_with_an_order(stack: Stack, page: Page) -> None:
    page.goto(stack.shop_url)
    page.get_by_label("Your name").fill("   ")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("alert")).to_contain_text("That order can't be taken")


def test_the_page_works_on_a_narrow_screen_and_without_its_script(stack: Stack, page: Page) -> None:
    number = stack.place(customer="<script>alert(1)</script>")
    page.route("**/shop.js", lambda route: route.abort())
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(stack.shop_url)
    expect(page.locator(f"#order-{number}")).to_contain_text("<script>alert(1)</script>")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
