"""The exporter of a real scheduler: metrics for Prometheus, and the backlog for an autoscaler."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.ports import free_port
from support.probing import get
from support.scheduler_process import SchedulerProcess
from support.scripts import DAY, Outcome, Scripts, field, message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def port(redis_url: str, tmp_path: Path) -> Iterator[int]:
    """The endpoint of a scheduler."""
    port = free_port()
    with SchedulerProcess(tmp_path, redis_url, lease=1, health_port=port, exporter=True) as process:
        process.wait_for("scheduler.started")
        yield port


def samples(port: int) -> Samples:
    status, text = get(port, "/metrics")
    assert status == 200
    found: Samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            labels = frozenset(LABEL.findall(match[2] or ""))
            assert (match[1], labels) not in found, line
            found[match[1], labels] = float(match[3])
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def register(scripts: Scripts) -> Scripts:
    scripts.redis.sadd(key("queues"), scripts.queue)
    return scripts


def wait_for_queue(port: int, queue: str = "q") -> None:
    """The scheduler reads the registry from time to time."""
    wait_until(
        lambda: value(samples(port), "fluxqueue_queue_paused", queue=queue) is not None,
        what="the queue in the registry",
    )


def test_the_backlog_is_exported_by_state_and_age(scripts: Scripts, port: int) -> None:
    register(scripts).claim("c", message(1), message(2))
    scripts.enqueue(*(message(n) for n in range(3, 6)))
    scripts.redis.zadd(scripts.key("delayed"), {message(6): scripts.now() + DAY})
    scripts.redis.hset(scripts.key("stats"), "in_line", 7)
    scripts.redis.hset(scripts.key("workers"), "c", "{}")
    scripts.redis.set(scripts.key("paused"), 1)
    wait_for_queue(port)
    found = samples(port)
    by_state = {
        state: value(found, "fluxqueue_tasks", queue="q", state=state)
        for state in ("pending", "claimed", "delayed", "dead", "suspects")
    }
    assert by_state == {"pending": 10, "claimed": 2, "delayed": 1, "dead": 0, "suspects": 0}
    # The ids of these messages are years old.
    age = value(found, "fluxqueue_oldest_task_age_seconds", queue="q")
    assert age is not None and age > 86_400
    assert value(found, "fluxqueue_limit_waiting_tasks", queue="q") == 7
    assert value(found, "fluxqueue_workers", queue="q") == 1
    assert value(found, "fluxqueue_queue_paused", queue="q") == 1
    assert value(found, "fluxqueue_schedule_lag_seconds", queue="q") == 0
    assert value(found, "fluxqueue_redis_unreachable") == 0
    assert value(found, "fluxqueue_queues_left_out") == 0


def test_an_export_asks_the_workers_to_count(
    scripts: Scripts, redis_url: str, port: int, tmp_path: Path
) -> None:
    client = FluxQueue(redis_url)

    @client.task()
    def work() -> None: ...

    app = "@fluxqueue.task()\ndef work(): pass\n"
    with WorkerProcess(tmp_path, redis_url, app, lease=1) as worker:
        worker.wait_for("worker.connected")
        wait_for_queue(port, "default")
        assert scripts.redis.ttl(key("watched", "default")) > 60

        def is_counted() -> bool:
            work()
            of_task = {"queue": "default", "task": "work", "outcome": "succeeded"}
            return bool(value(samples(port), "fluxqueue_task_attempts_total", **of_task))

        wait_until(is_counted)
    found = samples(port)
    for name in ("fluxqueue_wait_seconds", "fluxqueue_run_seconds"):
        count = value(found, f"{name}_count", queue="default")
        assert count and value(found, f"{name}_bucket", queue="default", le="+Inf") == count
        buckets = [
            (float(dict(labels)["le"]), number)
            for (bucket, labels), number in found.items()
            if bucket == f"{name}_bucket" and ("queue", "default") in labels
        ]
        numbers = [number for _, number in sorted(buckets)]
        assert numbers == sorted(numbers) and numbers[-1] == count
    exact = value(found, "fluxqueue_outcomes_total", queue="default", outcome="succeeded")
    assert exact and count and exact >= count


def test_deaths_are_counted_by_reason(scripts: Scripts, port: int) -> None:
    register(scripts)
    wait_for_queue(port)
    scripts.claim("c", *(message(n) for n in range(130)))
    ends = [
        Outcome(field(message(n)), "dead", b'{"reason":"%s","error":"e"}' % why, "1")
        for n, why in enumerate([b"failed"] * 128 + [b"rejected", b"9 9"])
    ]
    scripts.exchange("c", outcomes=ends)

    def counts() -> dict[str, float | None]:
        found = samples(port)
        reasons = ("failed", "rejected", "other")
        return {
            why: value(found, "fluxqueue_deaths_total", queue="q", reason=why) for why in reasons
        }

    expected = {"failed": 128, "rejected": 1, "other": 1}
    wait_until(lambda: counts() == expected, what=lambda: str(counts()))
    assert counts() == expected
    assert value(samples(port), "fluxqueue_outcomes_total", queue="q", outcome="dead") == 130


def test_lost_leases_are_counted(scripts: Scripts, port: int) -> None:
    register(scripts).open("c")
    wait_for_queue(port)
    scripts.end_lease("c")
    wait_until(lambda: value(samples(port), "fluxqueue_leases_lost_total", queue="q") == 1)


def test_a_key_of_another_type_hides_only_its_own_values(scripts: Scripts, port: int) -> None:
    register(scripts)
    scripts.enqueue(message(1))
    scripts.redis.set(scripts.key("suspects"), "garbage")
    scripts.redis.set(scripts.key("stats:slot", "total"), "garbage")
    wait_for_queue(port)
    found = samples(port)
    assert value(found, "fluxqueue_tasks", queue="q", state="pending") == 1
    assert value(found, "fluxqueue_tasks", queue="q", state="suspects") is None


def backlog(port: int, query: str) -> tuple[int, Any]:
    status, text = get(port, f"/backlog?{query}")
    return status, json.loads(text)


def test_the_backlog_counts_what_is_ready_due_and_running(scripts: Scripts, port: int) -> None:
    register(scripts).claim("c", message(1))
    scripts.enqueue(message(2), message(3))
    scripts.redis.rpush(scripts.key("suspects"), message(4, deliveries=2))
    for number, seconds in ((5, 20), (6, 3_000)):
        scripts.redis.zadd(
            scripts.key("delayed"), {message(number): scripts.now() + seconds * 1_000}
        )
    expected = {"ready": 3, "due": 1, "running": 1, "total": 5}
    assert backlog(port, "queue=q") == (200, expected)
    assert backlog(port, "queue=q&queue=other&soon=3600") == (
        200,
        {**expected, "due": 2, "total": 6},
    )
    # The last task runs: its worker must stay.
    scripts.redis.delete(*(scripts.key(kind) for kind in ("pending", "suspects", "delayed")))
    assert backlog(port, "queue=q") == (200, {"ready": 0, "due": 0, "running": 1, "total": 1})


def test_a_backlog_that_is_not_known_is_an_error(scripts: Scripts, port: int) -> None:
    for query in ("", "soon=3", "queue=q&soon=x", "queue=q&soon=-1", "queue=a%7Db"):
        status, said = backlog(port, query)
        assert status == 400 and said["error"]
    scripts.redis.set(scripts.key("pending"), "garbage")
    status, said = backlog(port, "queue=q")
    assert status == 503 and "no server can read the queue 'q'" in said["error"]


def test_without_the_option_there_is_no_page_and_no_reader(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    register(scripts)
    with SchedulerProcess(tmp_path, redis_url, lease=1, health_port=port) as process:
        process.wait_for("scheduler.started")
        assert get(port, "/metrics")[0] == get(port, "/backlog?queue=q")[0] == 404
    assert not scripts.redis.exists(scripts.key("watched"))


def test_the_exporter_needs_an_endpoint(redis_url: str, tmp_path: Path) -> None:
    with SchedulerProcess(tmp_path, redis_url, exporter=True) as process:
        assert process.wait() == 2
    [line] = process.other_output
    assert line.endswith("--exporter needs an endpoint: give --health-port as well")
