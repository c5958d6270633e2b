"""Limited tasks, as several real workers run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control import limits
from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings
from fluxqueue_core.limits import LimitRules
from fluxqueue_core.rates import read_rate
from support.system import System
from support.waiting import wait_until
from support.worker_process import read_notes

pytestmark = pytest.mark.versions

APP = """
def run(name, key):
    note(f"begin {name} {key} {time.monotonic_ns()}")
    while not os.path.exists(f"go {key}") and not os.path.exists("go"):
        time.sleep(0.01)
    note(f"end {name} {key} {time.monotonic_ns()}")

@fluxqueue.task(max_retries=1, retry_delay=0)
def work(name, key="", fails=False):
    run(name, key)
    if fails and not os.path.exists(f"failed {name}"):
        open(f"failed {name}", "w").close()
        raise ValueError(name)

@fluxqueue.task()
def other(key, name):
    run(name, key)

@fluxqueue.task()
def plain(name):
    note(f"plain {name}")
"""
# Seconds by which a begin may be late: a worker may have claimed a task up to 250 ms before.
LATE = 0.5


@pytest.fixture
def app(redis_url: str) -> Iterator[FluxQueue]:
    client = FluxQueue(redis_url)
    yield client
    client.close()


class Runs:
    """The notes of the tasks of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def notes(self, kind: str) -> list[list[str]]:
        found = (note.split(" ") for note in read_notes(self._folder))
        return [words[1:] for words in found if words[0] == kind]

    def names(self, kind: str = "begin") -> list[str]:
        """The names of the tasks that have begun, or ended, in this order."""
        return [words[0] for words in self.notes(kind)]

    def most_at_once(self, key: str) -> int:
        """How many tasks of a key ran at the same time."""
        running = most = 0
        for note in read_notes(self._folder):
            kind, *rest = note.split(" ")
            if kind in ("begin", "end") and rest[1] == key:
                running += 1 if kind == "begin" else -1
                most = max(most, running)
        return most

    def go(self, key: str | None = None) -> None:
        """Lets the tasks of a key end, or all of them."""
        (self._folder / ("go" if key is None else f"go {key}")).touch()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture
def system(redis_url: str, tmp_path: Path) -> Iterator[System]:
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        yield system


def start(system: System, workers: int = 3) -> None:
    for _ in range(workers):
        system.start_worker(concurrency=4)


def settled(system: System) -> None:
    """Waits for all tasks, and checks that limits leave nothing behind but their rules."""
    system.wait_until_settled()
    kinds = ("limit:*", "limits", "limits:texts", "limits:tat")
    wait_until(lambda: not [k for kind in kinds for k in system.redis.keys(f"fluxqueue:*:{kind}")])


@pytest.mark.parametrize("most", [1, 3])
def test_the_limit_holds_in_all_workers_and_others_pass_by(
    system: System, app: FluxQueue, runs: Runs, most: int
) -> None:
    work = app.declare("work", concurrency=most)
    handles = [work.options(result_ttl=60).enqueue(str(number)) for number in range(9)]
    start(system)
    wait_until(lambda: len(runs.names()) == most)
    assert app.declare("plain").enqueue_many([(str(number),) for number in range(20)]) == 20
    wait_until(lambda: len(runs.names("plain")) == 20)
    # All slots were free for the twenty, and none of them went to one more of the limited.
    assert len(runs.names()) == most
    runs.go()
    for handle in handles:
        handle.result(timeout=30)
    assert runs.most_at_once("") == most
    if most == 1:
        assert runs.names() == [str(number) for number in range(9)]
    settled(system)


def check_rate(moments: Sequence[float], rate: str, burst: int = 1) -> None:
    """Checks all windows of time: no more begin in one than the rate allows."""
    period = read_rate(rate, burst)[0] / 1e6
    for first, begun in enumerate(moments):
        for last in range(first, len(moments)):
            allowed = burst + (moments[last] - begun + LATE) / period
            assert last - first + 1 <= allowed, (first, last, moments)


@pytest.mark.parametrize(("rate", "burst"), [("10/s", 1), ("300/m", 4)])
def test_no_more_begin_in_any_time_than_the_rate_says(
    system: System, app: FluxQueue, runs: Runs, rate: str, burst: int
) -> None:
    work = app.declare("work", rate=rate, burst=burst)
    runs.go()
    assert work.enqueue_many([(str(number),) for number in range(25)]) == 25
    start(system, 2)
    wait_until(lambda: len(runs.names("end")) == 25)
    check_rate(sorted(int(words[-1]) / 1e9 for words in runs.notes("begin")), rate, burst)
    settled(system)


@pytest.mark.parametrize("limit_key", ["key", ("key",), lambda name, key, **rest: key.upper()])
def test_each_key_has_its_own_limit(
    system: System, app: FluxQueue, runs: Runs, limit_key: Any
) -> None:
    def signature(name: str, key: str) -> None: ...

    work = app.declare("work", signature=signature, concurrency=1, limit_key=limit_key)
    calls = [(f"{key}{number}", key) for key in "abc" for number in range(3)]
    assert work.enqueue_many(calls) == 9
    start(system, 2)
    wait_until(lambda: len(runs.names()) == 3)
    assert sorted(runs.names()) == ["a0", "b0", "c0"]
    runs.go("b")
    wait_until(lambda: runs.names("end") == ["b0", "b1", "b2"])
    runs.go()
    wait_until(lambda: len(runs.names("end")) == 9)
    assert [runs.most_at_once(key) for key in "abc"] == [1, 1, 1]
    settled(system)


def test_tasks_share_a_limit_by_its_name(system: System, app: FluxQueue, runs: Runs) -> None:
    def work(name: str, key: str) -> None: ...
    def other(key: str, name: str) -> None: ...

    shared = app.limit("shared", concurrency=2)
    one = app.declare("work", signature=work, limit=shared, limit_key="key")
    two = app.declare("other", signature=other, limit=shared, limit_key="key")
    for number in range(3):
        one.enqueue(f"one{number}", "acme")
        two.enqueue("acme", f"two{number}")
    two.enqueue("else", "two")
    start(system)
    wait_until(lambda: len(runs.names()) == 3)
    runs.go()
    wait_until(lambda: len(runs.names("end")) == 7)
    assert (runs.most_at_once("acme"), runs.most_at_once("else")) == (2, 1)
    settled(system)


def test_a_backlog_of_one_tenant_does_not_delay_another(
    system: System, app: FluxQueue, runs: Runs
) -> None:
    def signature(name: str, key: str) -> None: ...

    work = app.declare("work", signature=signature, concurrency=2, limit_key="key")
    assert work.enqueue_many([(f"big{number}", "big") for number in range(2_000)]) == 2_000
    assert work.enqueue_many([(f"small{number}", "small") for number in range(10)]) == 10
    runs.go("small")
    start(system, 2)
    # None of the 2,000 has ended yet.
    wait_until(lambda: len(runs.names("end")) == 10)
    assert sorted(runs.names("end")) == sorted(f"small{number}" for number in range(10))
    runs.go("big")
    wait_until(lambda: len(runs.names("end")) == 2_010, timeout=90)
    assert runs.most_at_once("big") == 2
    settled(system)


def test_a_retry_waits_behind_those_that_wait(system: System, app: FluxQueue, runs: Runs) -> None:
    work = app.declare("work", concurrency=1, max_retries=1)
    work.enqueue("first", fails=True)
    work.enqueue_many([("second",), ("third",)])
    start(system, 2)
    wait_until(lambda: runs.names() == ["first"])
    runs.go()
    wait_until(lambda: len(runs.names("end")) == 4)
    assert runs.names() == ["first", "second", "third", "first"]
    assert runs.most_at_once("") == 1
    settled(system)


def test_a_limit_changes_while_tasks_wait(
    system: System, app: FluxQueue, runs: Runs, redis_url: str
) -> None:
    servers = Servers(Settings(redis_url))
    client = servers.of_queue("default")
    app.declare("work", concurrency=1).enqueue_many([(str(number),) for number in range(12)])
    start(system)
    wait_until(lambda: len(runs.names()) == 1)
    assert limits.override(client, "default", "work", LimitRules(most=4))
    assert not limits.override(client, "default", "work", LimitRules(most=4))
    wait_until(lambda: len(runs.names()) == 4)
    # A lower limit lets those go on that run, and the next ones wait for it.
    assert limits.override(client, "default", "work", LimitRules(most=2))
    [state] = limits.read_keys(client, "default").keys
    assert (state.name, state.key, state.running, state.waiting) == ("work", "", 4, 8)
    assert limits.clear(client, "default", "work")
    assert not limits.clear(client, "default", "work")
    runs.go()
    wait_until(lambda: len(runs.names("end")) == 12)
    assert runs.most_at_once("") == 4
    settled(system)
    servers.close()


def test_the_limit_of_a_workers_code_counts_for_older_messages(
    system: System, app: FluxQueue, runs: Runs
) -> None:
    app.declare("work", concurrency=1).enqueue_many([(str(number),) for number in range(5)])
    start(system, 1)
    wait_until(lambda: len(runs.names()) == 1)
    source = APP.replace("max_retries=1, ", "max_retries=1, concurrency=3, ")
    newer = system.start_worker(source, concurrency=4)
    newer.wait_for("limit.declared")
    begun = Runs(newer.folder).names
    wait_until(lambda: len(runs.names()) + len(begun()) == 3)
    runs.go()
    Runs(newer.folder).go()
    wait_until(lambda: len(runs.names("end")) + len(begun("end")) == 5)
    settled(system)


def test_a_task_that_enqueues_limited_tasks_keeps_their_limit(
    system: System, app: FluxQueue
) -> None:
    source = """
@fluxqueue.task(concurrency=1, limit_key="key")
def limited(name, key):
    run(name, key)

@fluxqueue.task()
def spread(key):
    for number in range(4):
        limited(f"{key}{number}", key)
    limited.enqueue_each([(f"{key}{number}", key) for number in range(4, 8)])
"""
    worker = system.start_worker(APP + source, concurrency=8)
    runs = Runs(worker.folder)
    spread = app.declare("spread")
    spread("a")
    spread("b")
    wait_until(lambda: sorted(runs.names()) == ["a0", "b0"])
    runs.go()
    wait_until(lambda: len(runs.names("end")) == 16)
    assert [runs.most_at_once(key) for key in "ab"] == [1, 1]
    settled(system)
