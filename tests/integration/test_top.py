"""The screen of `fluxqueue top`, driven by its pilot, on a real Redis."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue_control.servers import Servers
from fluxqueue_control.top.app import TopApp
from fluxqueue_control.top.state import ScreenSource
from fluxqueue_core import Settings, key
from support.planted_operations import plant_numbers, plant_report
from support.scripts import DAY, Scripts, messages
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

WHO = '{"host":"h[red]","pid":7,"version":"1","slots":2}'


@pytest.fixture
def servers(redis_url: str) -> Iterator[Servers]:
    servers = Servers(Settings(redis_url))
    yield servers
    servers.close()


@pytest.fixture
def busy(scripts: Scripts, redis: Any) -> Scripts:
    redis.sadd(key("queues"), "q", "a")
    scripts.open("c", who=WHO, lease=DAY)
    scripts.claim("c", *messages(range(2)))
    scripts.enqueue(*messages(range(2, 5)))
    return scripts


def rows(app: TopApp, name: str) -> list[list[str]]:
    table = app.query_one(f"#{name}", DataTable)
    return [[str(cell) for cell in table.get_row_at(at)] for at in range(table.row_count)]


async def wait(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await pilot.pause(0.02)


def drive(servers: Servers, play: Any, *, may_change: bool, interval: float = 3_600) -> None:
    async def run() -> None:
        app = TopApp(ScreenSource(servers), interval, may_change=may_change)
        async with app.run_test(size=(120, 40)) as pilot:
            await wait(pilot, lambda: len(rows(app, "queues")) == 2)
            await play(app, pilot)

    asyncio.run(run())


def test_top_shows_queues_and_workers(servers: Servers, busy: Scripts) -> None:
    async def play(app: TopApp, pilot: Pilot[int]) -> None:
        queues = rows(app, "queues")
        assert [row[:2] + row[3:8] for row in queues] == [
            ["a", "0", "0", "0", "0", "0", "runs"],
            ["q", "3", "0", "0", "2", "0", "runs"],
        ]
        # Nothing waits; the ids of these tasks are old.
        assert queues[0][2] == "-" and queues[1][2].endswith(" d")
        # No part of a name is taken for markup.
        [worker] = rows(app, "workers")
        assert worker[:6] == ["q", "h[red]", "7", "1", "2", "2"]
        busy.exchange("c", 1)
        busy.redis.hincrby(busy.key("stats"), "succeeded", 100)
        await pilot.press("r")
        await wait(pilot, lambda: rows(app, "queues")[1][1] == "2")
        assert float(rows(app, "queues")[1][8].replace(",", "")) > 0

    drive(servers, play, may_change=False)


def test_it_shows_times_and_memory_that_workers_have_counted(
    servers: Servers, busy: Scripts
) -> None:
    plant_numbers(busy.redis, "q", {"n": (9, 1, 2.0)})
    plant_report(busy.redis, "q", "c", 64 << 20, {"id": ("slow[red]", 7_200.0)})

    async def play(app: TopApp, pilot: Pilot[int]) -> None:
        wait, run = rows(app, "queues")[1][-2:]
        # The longest of ten is eight times as long as the others, in a bucket that ends later.
        assert 48 <= float(wait.removesuffix(" s")) <= 60
        assert 16 <= float(run.removesuffix(" s")) <= 20
        assert rows(app, "workers")[0][-2:] == ["64 MiB", "slow[red] for 2 h"]
        assert busy.redis.exists(busy.key("watched"))

    drive(servers, play, may_change=False)


@pytest.mark.usefixtures("busy")
def test_top_looks_again_by_itself(servers: Servers, redis: Any) -> None:
    async def play(app: TopApp, pilot: Pilot[int]) -> None:
        redis.sadd(key("queues"), "new")
        await wait(pilot, lambda: len(rows(app, "queues")) == 3)

    drive(servers, play, may_change=False, interval=0.05)


@pytest.mark.usefixtures("busy")
def test_without_leave_it_changes_nothing(servers: Servers, redis: Any) -> None:
    async def play(app: TopApp, pilot: Pilot[int]) -> None:
        before = {name: redis.dump(name) for name in redis.keys("*")}
        for pressed in ("p", "y", "enter", "p"):
            await pilot.press(pressed)
        assert app.sub_title == "read-only" and len(app.screen_stack) == 1
        assert {name: redis.dump(name) for name in redis.keys("*")} == before

    drive(servers, play, may_change=False)


@pytest.mark.usefixtures("busy")
def test_top_pauses_and_resumes_after_a_confirmation(servers: Servers, redis: Any) -> None:
    async def play(app: TopApp, pilot: Pilot[int]) -> None:
        await pilot.press("down", "p")
        await wait(pilot, lambda: len(app.screen_stack) == 2)
        assert "Pause the queue q?" in str(app.screen.query(Static).first().render())
        await pilot.press("n")
        await wait(pilot, lambda: len(app.screen_stack) == 1)
        assert not redis.exists(key("paused", "q"))
        await pilot.press("p", "y")
        await wait(pilot, lambda: rows(app, "queues")[1][7] == "paused")
        assert redis.exists(key("paused", "q")) and not redis.exists(key("paused", "a"))
        await pilot.press("p", "y")
        await wait(pilot, lambda: rows(app, "queues")[1][7] == "runs")
        assert not redis.exists(key("paused", "q"))

    drive(servers, play, may_change=True)


@pytest.mark.usefixtures("busy")
def test_a_refusal_of_redis_is_shown_until_it_ends(servers: Servers, redis: Any) -> None:
    async def play(app: TopApp, pilot: Pilot[int]) -> None:
        failure = app.query_one("#failure", Static)
        redis.rename(key("queues"), "kept")
        redis.set(key("queues"), "text")
        await pilot.press("r")
        await wait(pilot, lambda: failure.display)
        assert "WRONGTYPE" in str(failure.render())
        redis.rename("kept", key("queues"))
        await pilot.press("r")
        await wait(pilot, lambda: not failure.display)
        assert len(rows(app, "queues")) == 2

    drive(servers, play, may_change=False)


def test_top_needs_a_terminal(redis_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue", "top", "-r", redis_url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "fluxqueue watch" in done.stderr
    assert done.stderr.count("\n") == 1
