"""The changes of operators in the planted shop, and the counts of its workers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue_control import jobs, pausing, strikes
from fluxqueue_control.actor import acting
from fluxqueue_control.histogram import lower_end
from fluxqueue_control.jobs import Selection
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.strikes import Strike
from fluxqueue_core import Settings, key

_SLOT = 10


def plant_locks(app: FluxQueue) -> None:
    """Enqueues unique tasks of the queue `imports`, and a debounced one, which is delayed."""
    feed = app.task(name="shop.import_feed", queue="imports", unique=("source",))(
        lambda source: None
    )
    for source in ("https://feeds.example/books", "https://feeds.example/music"):
        feed.enqueue(source)
    index = app.task(
        name="shop.index", queue="imports", unique=("product",), debounce=600, max_wait=900
    )(lambda product: None)
    index.enqueue(4_711)


def plant_changes(redis_url: str) -> None:
    """Makes changes as two operators: a pause, strikes, a dry run, and a job that is stopped."""
    client = RedisClient(Settings(redis_url), 5.0)
    try:
        with acting("ada"):
            pausing.pause(client, "payments")
            strikes.strike(client, "mails", Strike("shop.send_newsletter"))
            strikes.strike(client, "payments", Strike("shop.charge_card", "customer.id", 4_242))
        with acting("grace@example.com"):
            chosen = Selection(task="shop.send_mail", exception="SMTPServerDisconnected")
            dry = jobs.start(client, "mails", "replay", "dead", chosen, dry_run=True)
            list(jobs.run(lambda: client, "mails", dry))
            job = jobs.start(client, "reports", "cancel", "waiting", rate=0.5, limit=4)
            steps = jobs.run(lambda: client, "reports", job)
            next(step for step in steps if step.outcome.get("done"))
            jobs.stop(client, "reports", job.id)
            list(steps)
    finally:
        client.close()


def plant_numbers(redis: Any, queue: str, ends: Mapping[str, tuple[int, int, float]]) -> None:
    """Writes what workers count in each slot of 10 s, for the last minute and for the next ones.

    Args:
        ends: for each name of a task how many succeed and fail in a slot, and how long one runs,
            seconds.
    """
    now = int(time.time()) // _SLOT * _SLOT
    slot = _slot(ends)
    for start in range(now - 7 * _SLOT, now + 7 * _SLOT, _SLOT):
        redis.hset(key("stats:slot", queue, str(start)), mapping=slot)


def _slot(ends: Mapping[str, tuple[int, int, float]]) -> dict[str, int]:
    counts: dict[str, int] = {}

    def add(field: str, number: int) -> None:
        counts[field] = counts.get(field, 0) + number

    for name, (succeeded, died, seconds) in ends.items():
        total, micros = succeeded + died, int(seconds * 1_000_000)
        for of in ("", name):
            add(f"s:{of}", succeeded)
            add(f"d:{of}", died)
            add(f"t:{of}", total * micros)
        for kind, value in (("x", micros), ("w", 3 * micros)):
            add(f"{kind}{_bucket(value)}", total - 1)
            add(f"{kind}{_bucket(8 * value)}", 1)
            add(f"{kind}sum", (total + 7) * value)
    return counts


def _bucket(micros: int) -> int:
    bucket = 0
    while lower_end(bucket + 1) <= micros:
        bucket += 1
    return bucket


def plant_report(
    redis: Any, queue: str, consumer: str, memory: int, tasks: Mapping[str, tuple[str, float]]
) -> None:
    """Writes the report of a worker.

    Args:
        memory: bytes.
        tasks: of the ids of tasks that run, their names and for how long, seconds.
    """
    now = int(time.time() * 1_000)
    rows = [[id_, name, now - int(age * 1_000)] for id_, (name, age) in tasks.items()]
    report = json.dumps({"memory": memory, "running": len(rows), "tasks": rows})
    redis.hset(key("report", queue, consumer), mapping={"at": now, "report": report})


def plant_finished(redis: Any, queue: str, outcomes: Mapping[str, tuple[str, str, str]]) -> None:
    """Keeps outcomes for an hour.

    Args:
        outcomes: for the id of each task its name, its outcome, and its error or ''.
    """
    now = round(time.time() * 1_000)
    for age, (task, (name, state, error)) in enumerate(outcomes.items(), 1):
        end = now - age * 60_000
        kept: dict[str, Any] = {"state": state, "attempts": 1, "worker": "web-1:4711"}
        kept |= {"enqueued": end - 2_000, "started": end - 900, "finished": end}
        kept |= {"error": {"type": "KeyError", "text": error}} if error else {"value": age}
        redis.set(key("result", queue, task), json.dumps(kept, separators=(",", ":")), px=3_600_000)
        redis.zadd(key("finished", queue), {f"{task} {name}": end + 3_600_000})
