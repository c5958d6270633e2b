"""A message that can't be run is parked with its reason, and its neighbours run."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

from fluxqueue_core import key
from support import apps
from support.malformed import MALFORMED, malformed
from support.raw_messages import dead, message
from support.system import System
from support.waiting import wait_until

APP = apps.work() + apps.HOLD
BAD = 1000


def test_a_thousand_malformed_messages_between_good_ones_are_parked(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    good = range(1000)
    bad = malformed(chance, BAD, "work")
    assert {kind for kind, _ in bad} == set(MALFORMED)
    names = ["work", "work_async"]
    whole = [message(names[number % 2], number) for number in good] + [raw for _, raw in bad]
    chance.shuffle(whole)
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        worker = system.start_worker(concurrency=4, log_level="error")
        system.redis.lpush(key("pending", "default"), *whole)
        system.wait_until_ended(good)
        system.wait_until_settled()
        parked = system.redis.hgetall(key("dead:messages", "default"))
        kinds = {raw: kind for kind, raw in bad}
        assert Counter(parked.values()) == Counter(raw for _, raw in bad), (
            f"not as they came: {[kinds[raw] for raw in set(kinds) ^ set(parked.values())]}"
        )
        reasons = system.redis.hgetall(key("dead:reasons", "default"))
        assert reasons.keys() == parked.keys()
        assert system.redis.zcard(key("dead", "default")) == BAD
        for entry, text in reasons.items():
            reason = json.loads(text)
            assert reason["reason"] == "malformed" and reason["error"], kinds[parked[entry]]
        assert system.ledger.run_twice() == set()
        assert worker.stop() == 0


def wait_until_dead(system: System, count: int, which: str) -> None:
    wait_until(
        lambda: system.redis.zcard(key("dead", "default")) == count,
        what=f"{count} dead tasks, the last one being {which!r}",
    )


def test_malformed_messages_that_come_one_by_one_are_parked(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    """A BLMOVE takes each, not the batch of an exchange."""
    kinds = list(MALFORMED)
    with System(tmp_path, redis_url, APP) as system:
        worker = system.start_worker()
        worker.wait_for("worker.connected")
        for count, kind in enumerate(kinds, start=1):
            system.redis.lpush(key("pending", "default"), MALFORMED[kind](chance, "work"))
            wait_until_dead(system, count, kind)
        system.enqueue("work", range(1))
        system.wait_until_ended(range(1))
        system.wait_until_settled()
        assert len(worker.named("task.parked")) == len(kinds)
        assert worker.stop() == 0


def test_copies_of_a_task_that_is_held_are_parked(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP, lease=3) as system:
        system.start_scheduler()
        worker = system.start_worker(concurrency=4)
        worker.wait_for("worker.connected")
        raw = message("hold", 1)
        system.redis.lpush(key("pending", "default"), raw, raw, raw)
        wait_until_dead(system, 2, "two copies")
        # Even if it comes alone, and with other arguments.
        system.redis.lpush(key("pending", "default"), raw.replace(b"[1]", b"[2]"))
        wait_until_dead(system, 3, "the third")
        (tmp_path / "open").touch()
        system.wait_until_ended([1])
        system.wait_until_settled()
        assert system.ledger.times_run() == {1: 1}
        assert {reason["reason"] for reason in dead(system.redis).values()} == {"duplicate"}
        assert worker.stop() == 0


def test_arguments_that_do_not_fit_are_parked_with_their_reason(
    tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, APP) as system:
        worker = system.start_worker()
        for name in ("work", "work_async"):
            for raw in (
                message(name),
                message(name, 1, 2),
                message(name, 1, kwargs={"number": 1}),
                message(name, kwargs={"nummer": 1}),
                message(name, kwargs={"": 1}),
            ):
                system.redis.lpush(key("pending", "default"), raw)
        system.enqueue("work", range(10))
        system.wait_until_ended(range(10))
        system.wait_until_settled()
        reasons = [reason["reason"] for reason in dead(system.redis).values()]
        assert reasons == ["arguments"] * 10
        assert system.ledger.started() == set(range(10))
        assert worker.stop() == 0
