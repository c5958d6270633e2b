"""Each death calls the callback once: under `kill -9`, and when connections break."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.proxy import RESET, Proxy, port_of
from support.redis_cluster import RedisCluster
from support.system import System
from support.waiting import wait_until, wait_until_past
from support.worker_process import WorkerProcess, read_notes

TASKS = 300
APP = """
import signal
from fluxqueue import Failure

@fluxqueue.task(queue="alerts")
def alert(failure: Failure):
    note(f"{failure.args[0]} {failure.reason} {failure.id}")

@fluxqueue.task(max_retries=0, on_failure=alert)
def fail(number):
    time.sleep(0.01)
    raise KeyError(number)

@fluxqueue.task(on_failure=alert)
def kill(number):
    os.kill(os.getpid(), signal.SIGKILL)
"""

# All workers serve this queue alone, so a note says that the call was in it.
ACROSS = """
import signal

@fluxqueue.task(name="alert", queue="NEAR")
def alert(failure):
    note(f"{failure['args'][0]} {failure['reason']}")

@fluxqueue.task(name="fail", queue="NEAR", max_retries=0)
def fail(number):
    raise KeyError(number)

@fluxqueue.task(name="kill", queue="NEAR")
def kill(number):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def callback(queue: str) -> Any:
    """The callback as a producer declares it, in that queue."""
    return FluxQueue(None).task(name="alert", queue=queue)(_any)


def _any(*arguments: Any) -> None: ...


def enqueue(system: System, name: str, count: int) -> None:
    """Enqueues tasks as the application does: their messages name the callback."""
    for number in range(count):
        raw = (
            f'{{"v":1,"id":"019aa0c2-7b1f-7c3e-8d2a-{number:012x}","name":"{name}",'
            f'"args":[{number}],"max_retries":0,"on_failure":{{"name":"alert","queue":"alerts"}}}}'
        )
        system.redis.lpush(key("pending", "default"), raw)


def drain_alerts(system: System, count: int) -> None:
    """Runs the calls that wait, in a worker that no test disturbs."""
    system.start_worker(queue="alerts", concurrency=10)
    wait_until(lambda: system.stats("alerts").get("succeeded") == count)


def test_a_task_that_kills_three_workers_is_told_of_once(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP, lease=1) as system:
        # Two schedulers: both see the third loss.
        system.start_scheduler()
        system.start_scheduler()
        enqueue(system, "kill", 1)
        workers: list[WorkerProcess] = []

        def is_dead() -> bool:
            if not workers or workers[-1].process.poll() is not None:
                workers.append(system.start_worker())
            return bool(system.stats().get("dead"))

        wait_until(is_dead, 60)
        drain_alerts(system, 1)
        assert read_notes(tmp_path) == ["0 worker_lost 019aa0c2-7b1f-7c3e-8d2a-000000000000"]
        assert system.redis.llen(key("pending", "alerts")) == 0


def test_killed_workers_lose_and_repeat_no_call(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    """At any moment, including between an attempt and its settling, or the settling and its
    answer."""
    with System(tmp_path, redis_url, APP, lease=1) as system:
        system.start_scheduler()
        enqueue(system, "fail", TASKS)
        while system.stats().get("dead", 0) < TASKS:
            worker = system.start_worker(queue="default", concurrency=4)
            before = system.stats().get("dead", 0)
            more = chance.randrange(1, 80)
            wait_until(lambda: system.stats().get("dead", 0) >= min(before + more, TASKS), 60)  # noqa: B023
            worker.kill()
        drain_alerts(system, TASKS)
        told = Counter(int(note.split()[0]) for note in read_notes(tmp_path))
        assert told == Counter(range(TASKS))
        assert system.redis.llen(key("pending", "alerts")) == 0


def test_a_call_into_another_hash_slot_stays_in_the_queue_of_the_dead_task(
    tmp_path: Path, redis_cluster: RedisCluster
) -> None:
    """One write can't reach two hash slots. The call stays with the task: on this master, on
    another one, and by the scheduler that notices the third loss."""
    servers = redis_cluster
    first, second, _ = servers.masters()
    names = servers.queues_on(first)
    near, same_master, elsewhere = next(names), next(names), servers.queue_on(second)
    assert len({servers.hash_slot(f"{{{queue}}}") for queue in (near, same_master)}) == 2
    app = ACROSS.replace("NEAR", near)
    with System(tmp_path, servers.url, app, lease=1, redis_client=servers.client) as system:
        system.start_scheduler()
        client = FluxQueue(servers.url)
        for number, queue in enumerate((near, same_master, elsewhere)):
            declare = client.task(
                name="fail", queue=near, max_retries=0, on_failure=callback(queue)
            )
            declare(_any)(number)
        client.task(name="kill", queue=near, on_failure=callback(elsewhere))(_any)(3)
        client.close()
        workers: list[WorkerProcess] = []

        def are_told() -> bool:
            if not workers or workers[-1].process.poll() is not None:
                workers.append(system.start_worker(queue=near))
            return len(set(read_notes(tmp_path))) == 4

        wait_until(are_told, 60, lambda: str((read_notes(tmp_path), workers[-1].output())))
        # A worker that is killed may have begun a callback, which then runs again.
        assert sorted(set(read_notes(tmp_path))) == [
            "0 failed",
            "1 failed",
            "2 failed",
            "3 worker_lost",
        ]
        system.wait_until_settled(near)
        for queue in (same_master, elsewhere):
            assert system.waiting(queue) == {}


def test_cut_connections_lose_and_repeat_no_call(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    """The answers to settlings are lost, and the worker sends them again."""
    port, database = port_of(redis_url)
    with (
        Proxy(port, delay=0.003) as proxy,
        System(tmp_path, redis_url, APP, lease=3, worker_url=f"{proxy.url}/{database}") as system,
    ):
        system.start_scheduler()
        enqueue(system, "fail", TASKS)
        system.start_worker(queue="default", concurrency=2)
        while system.stats().get("dead", 0) < TASKS:
            wait_until_past(time.monotonic() + 0.1 + chance.random() / 5)
            proxy.cut_all(RESET)
        assert proxy.cuts > 3
        drain_alerts(system, TASKS)
        told = Counter(int(note.split()[0]) for note in read_notes(tmp_path))
        assert told == Counter(range(TASKS))
