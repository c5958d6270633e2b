"""The dashboard of a planted shop, and Chromium: one of each for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fluxqueue.embedded import EmbeddedRedis
from playwright.sync_api import Browser, Page
from support.dashboard_browser import Served, launched, opened, served
from support.planted_shop import PlantedShop


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def dash(server: EmbeddedRedis) -> Iterator[Served]:
    with served(server.url) as found:
        yield found


@pytest.fixture
def shop(server: EmbeddedRedis, dash: Served) -> Iterator[PlantedShop]:
    from redis import Redis

    # In this thread Playwright has a loop that runs, in which the client would not block.
    with ThreadPoolExecutor(1) as thread, Redis.from_url(server.url) as redis:
        redis.flushall()
        planted = thread.submit(PlantedShop, redis, server.url).result()
        yield planted
        thread.submit(planted.close).result()


@pytest.fixture
def operator(browser: Browser, dash: Served, shop: PlantedShop) -> Iterator[Page]:
    with opened(browser, dash.url, is_operator=True) as page:
        yield page


@pytest.fixture
def viewer(browser: Browser, dash: Served, shop: PlantedShop) -> Iterator[Page]:
    with opened(browser, dash.url, is_operator=False) as page:
        yield page
