"""Fills Redis: tasks that wait, are delayed and are dead, workers by their registrations, locks and
jobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fluxqueue_control import jobs
from fluxqueue_control.jobs import Selection
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, dead_reason, key
from support.scripts import DAY, Outcome, Scripts, field, message

QUEUE = "mails"
_BATCH = 1_000
_DEAD_BATCH = 100
_HELD = 2
_NAMES = ("shop.send_email", "shop.charge", "shop.ship", "reports.build")
_TRACEBACK = "Traceback (most recent call last):\n" + '  File "/srv/shop/mail.py", line 7\n' * 12
# As many jobs as a queue remembers.
_JOBS = 1_000
# The first numbers of the ids, by state.
DEAD, DELAYED, HELD, FINISHED = 10_000_000, 20_000_000, 30_000_000, 40_000_000


@dataclass(frozen=True, slots=True)
class Numbers:
    """How much there is of what."""

    waiting: int
    dead: int
    workers: int


def task(number: int) -> bytes:
    """A task with an argument that no other one has, and a header that a hundredth of them have."""
    body = json.dumps([{"order_id": number, "to": f"customer-{number}@example.org"}])
    name = _NAMES[number % len(_NAMES)]
    raw = message(number, name=name, args=body.replace(" ", "").encode())
    return raw[:-1] + b',"headers":{"tenant":"%s"}}' % tenant(number).encode()


def tenant(number: int) -> str:
    """The header of a task."""
    return f"tenant-{number % 100}"


def lock(number: int) -> str:
    """The digest of a lock."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def fill(redis: Any, url: str, numbers: Numbers) -> None:
    """Fills an empty database."""
    scripts = Scripts(redis, QUEUE)
    redis.sadd(key("queues"), QUEUE)
    for some in _batches(DEAD, numbers.dead, _DEAD_BATCH):
        scripts.claim("killer", *some)
        scripts.exchange(
            "killer", outcomes=[Outcome(field(raw), "dead", _why(raw), "1") for raw in some]
        )
    for worker in range(numbers.workers):
        name = f"{worker:032x}"
        who = {"host": f"host-{worker % 20}", "pid": worker, "version": "1", "slots": 8}
        scripts.open(name, who=json.dumps(who), lease=DAY)
        held = [task(HELD + worker * _HELD + at) for at in range(_HELD)]
        scripts.claim(name, *held, lease=DAY)
    for some in _batches(DELAYED, numbers.waiting // 100, _BATCH):
        redis.zadd(scripts.key("delayed"), {raw: DAY * 30_000 + at for at, raw in enumerate(some)})
    for some in _batches(0, numbers.waiting, _BATCH):
        scripts.enqueue(*some)
    # As many as Redis keeps of a queue.
    for some in _batches(FINISHED, min(numbers.waiting // 100, 10_000), _BATCH):
        ids = [raw[13:49].decode() for raw in some]
        names = (_NAMES[at % len(_NAMES)] for at in range(len(ids)))
        kept = {
            f"{each} {name}": scripts.now() + DAY for each, name in zip(ids, names, strict=True)
        }
        redis.zadd(scripts.key("finished"), kept)
        redis.mset({scripts.key("result", each): '{"state":"succeeded"}' for each in ids})
    _lock(redis, scripts, numbers.waiting // 100)
    _begin_jobs(url, min(numbers.waiting // 100, _JOBS))
    scripts.be_swept()


def _lock(redis: Any, scripts: Scripts, count: int) -> None:
    pipeline = redis.pipeline(transaction=False)
    for number in range(count):
        name = key("unique", QUEUE, lock(number))
        held = {"id": task(number)[13:49], "since": scripts.now(), "text": f"shop.ship [{number}]"}
        pipeline.hset(name, mapping=held)
        pipeline.pexpire(name, DAY)
        if number % _BATCH == _BATCH - 1:
            pipeline.execute()
    pipeline.execute()


def _begin_jobs(url: str, count: int) -> None:
    client = RedisClient(Settings(url), 5.0)
    for number in range(count):
        selection = Selection(task=_NAMES[number % len(_NAMES)], headers={"tenant": tenant(number)})
        jobs.start(client, QUEUE, "replay", "dead", selection, rate=100.0)
    client.close()


def _why(raw: bytes) -> bytes:
    number = int(raw[37:49], 16)
    error = f"ConnectionError: host {number % 97} refused order {number}"
    return dead_reason("failed" if number % 3 else "rejected", error, _TRACEBACK)


def _batches(first: int, count: int, size: int) -> Iterator[list[bytes]]:
    for start in range(first, first + count, size):
        yield [task(number) for number in range(start, min(start + size, first + count))]
