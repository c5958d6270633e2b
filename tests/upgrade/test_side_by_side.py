"""A rolling upgrade: the previous minor version and today's on one queue."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fluxqueue_core
import pytest
from support.previous_version import recorded
from support.system import System
from support.virtual_environment import VirtualEnvironment
from support.waiting import wait_until

# All of them share one build, which may be the first.
pytestmark = [pytest.mark.xdist_group("upgrade"), pytest.mark.timeout(1800)]

APP = """
@fluxqueue.task()
def work(number):
    with ledger.run(number):
        time.sleep(0.02)

@fluxqueue.task_with_context(retry_delay=0.1)
def fails_once(ctx: Context, number):
    with ledger.run(number):
        time.sleep(0.02)
        if ctx.metadata.retries == 0:
            raise ValueError("once")
        # Another version has spent no retry on it.
        assert ctx.metadata.retries == 1

@fluxqueue.task()
async def work_async(number):
    with ledger.run(number):
        pass
"""
OPTIONS: dict[str, Any] = {"concurrency": 4, "log_level": "info"}
CLIENT = """
import json, sys
from fluxqueue import FluxQueue

url, name, numbers = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = FluxQueue(url)
task = client.task(name=name)(lambda number: None)
task(numbers[0])
print(1 + task.enqueue_many((number,) for number in numbers[1:]))
client.close()
"""


def enqueue_by(
    previous: VirtualEnvironment, folder: Path, url: str, name: str, numbers: Iterable[int]
) -> None:
    """As `System.enqueue`, by the client of the previous version."""
    wanted = list(numbers)
    text = json.dumps(wanted)
    said = previous.run("python", "-c", CLIENT, url, name, text, cwd=folder)
    assert int(said) == len(wanted)


def check_all_ended_well(system: System, succeeded: int, retried: int) -> None:
    system.wait_until_settled()
    stats = system.stats()
    stats.pop("rescued", None)
    assert stats == {"succeeded": succeeded} | ({"retried": retried} if retried else {})
    assert system.redis.zcard(fluxqueue_core.key("dead", "default")) == 0


def test_both_are_what_they_are_said_to_be(previous: VirtualEnvironment, tmp_path: Path) -> None:
    version, _ = recorded()
    assert previous.installed()["fluxqueue-core"] == version
    assert previous.installed()["fluxqueue-worker"] == version
    ask = "import fluxqueue_core; print(fluxqueue_core.__version__, fluxqueue_core.__file__)"
    said = previous.run("python", "-c", ask, cwd=tmp_path).split()
    assert said[0] == version and said[1].startswith(str(previous.folder))

    def minor(of: str) -> list[int]:
        return [int(part) for part in of.split(".")[:2]]

    today = minor(fluxqueue_core.__version__)
    assert today in ([minor(version)[0], minor(version)[1] + 1], [minor(version)[0] + 1, 0])


def test_the_keys_are_the_same(previous: VirtualEnvironment, tmp_path: Path) -> None:
    ask = "import fluxqueue_core as c, json; print(json.dumps(c.queue_keys('q')))"
    then = json.loads(previous.run("python", "-c", ask, cwd=tmp_path))
    # There may be more by now, at the end.
    assert len(then) >= 10
    assert fluxqueue_core.script_keys("sweep", "q")[: len(then)] == then


def test_an_old_client_and_a_new_worker(
    previous: VirtualEnvironment, tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        worker = system.start_worker(**OPTIONS)
        for number, name in enumerate(("work", "fails_once", "work_async")):
            start = number * 50
            enqueue_by(previous, tmp_path, redis_url, name, range(start, start + 50))
        system.wait_until_ended(range(150))
        check_all_ended_well(system, succeeded=150, retried=50)
        assert worker.stop() == 0


def test_a_new_client_and_an_old_worker(
    previous: VirtualEnvironment, tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler(python=previous.python)
        worker = system.start_worker(python=previous.python, **OPTIONS)
        for number, name in enumerate(("work", "fails_once", "work_async")):
            system.enqueue(name, range(number * 50, number * 50 + 50))
        system.wait_until_ended(range(150))
        check_all_ended_well(system, succeeded=150, retried=50)
        assert worker.stop() == 0


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "downgrade"])
def test_workers_are_replaced_under_load(
    previous: VirtualEnvironment, tmp_path: Path, redis_url: str, upgrade: bool
) -> None:
    """SIGTERM to the workers that go, as a rolling deployment does it."""
    old: dict[str, Any] = {"python": previous.python}
    before, after = (old, {}) if upgrade else ({}, old)
    with System(tmp_path, redis_url, APP) as system:
        schedulers = [system.start_scheduler(**before)]
        going = [system.start_worker(**OPTIONS, **before) for _ in range(2)]
        system.enqueue("work", range(400))
        enqueue_by(previous, tmp_path, redis_url, "fails_once", range(400, 500))
        for worker in going:
            # On a slow machine all of them may have ended.
            system.wait_for_ends(min(len(system.ledger.ended()) + 20, 500))
            system.start_worker(**OPTIONS, **after).wait_for("worker.connected")
            assert worker.stop() == 0
        schedulers.append(system.start_scheduler(**after))
        assert schedulers[0].stop() == 0
        system.wait_until_ended(range(500))
        check_all_ended_well(system, succeeded=500, retried=100)
        twice = {number for number in system.ledger.run_twice() if number < 400}
        assert twice == set()


def test_one_of_each_is_killed(
    previous: VirtualEnvironment, tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    """Each version has two workers and a scheduler. The scheduler of the other version
    rescues the tasks of a killed worker, and any worker runs them."""
    old: dict[str, Any] = {"python": previous.python}
    with System(tmp_path, redis_url, APP, lease=3) as system:
        schedulers = [system.start_scheduler(**version) for version in (old, {})]
        workers = [
            system.start_worker(**OPTIONS, **version) for version in (old, {}) for _ in range(2)
        ]
        system.enqueue("work", range(500))
        enqueue_by(previous, tmp_path, redis_url, "work", range(500, 1000))
        system.enqueue("fails_once", range(1000, 1100))
        enqueue_by(previous, tmp_path, redis_url, "fails_once", range(1100, 1200))

        in_flight: set[int] = set()
        for victim in (workers[0], workers[2]):
            system.wait_for_ends(len(system.ledger.ended()) + chance.randrange(50, 150))
            in_flight |= system.kill_running(victim)
        schedulers[chance.randrange(2)].kill()

        system.wait_until_ended(range(1200))
        wait_until(lambda: system.stats().get("rescued", 0) > 0, what="a rescue")
        check_all_ended_well(system, succeeded=1200, retried=200)
        times = system.ledger.times_run()
        twice = {number for number, count in times.items() if count > (2 if number >= 1000 else 1)}
        assert twice <= in_flight, "run again although they were not in flight at a kill"
        assert all(worker.stop() == 0 for worker in (workers[1], workers[3]))
