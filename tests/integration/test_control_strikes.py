"""Strikes: tasks of a name, or with an argument, do not begin, and are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control import dead, strikes
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.requeue import replay
from fluxqueue_control.strikes import Strike
from fluxqueue_core.errors import ConfigurationError
from support.scripts import Scripts, field, message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.versions

APP = """
@fluxqueue.task()
def send(order, note_=""):
    note(f"send {order['id']}")

@fluxqueue.task()
async def other(order):
    note(f"other {order['id']}")

@fluxqueue.task(result_ttl=60)
def answering(order):
    return order["id"]
"""


def declared(url: str) -> dict[str, Any]:
    client = FluxQueue(url)

    def order(order: Any) -> None: ...

    return {
        "send": client.task(name="send")(order),
        "other": client.task(name="other")(order),
        "answering": client.task(name="answering", result_ttl=60)(order),
    }


def test_an_exchange_tells_the_strikes_while_there_are_any(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    scripts.claim("c", message(1))
    assert "strikes" not in scripts.exchange("c").told
    rule = Strike("n", "0.id", 7)
    assert strikes.strike(control, "q", rule) == "struck"
    assert strikes.strike(control, "q", rule) == "unchanged"
    assert scripts.exchange("c").told["strikes"] == [rule.record()]
    assert strikes.read_all(control, "q") == [rule]
    # Neither a cancel of a task, nor the scheduler that forgets stale ones, ends a strike.
    assert scripts.cancel(message(2)) == "already_done"
    scripts.trim_dead(100)
    assert scripts.exchange("c").told["strikes"] == [rule.record()]
    scripts.exchange("c", succeeded=[field(message(1))])
    assert strikes.lift(control, "q", rule.id)
    assert not strikes.lift(control, "q", rule.id)
    assert "strikes" not in scripts.exchange("c").told
    assert not redis.exists(scripts.key("cancelled")) and not redis.exists(scripts.key("strikes"))


def test_the_strikes_of_a_queue_are_bounded(redis: Any, control: RedisClient) -> None:
    for number in range(100):
        assert strikes.strike(control, "q", Strike("n", "0", number)) == "struck"
    with pytest.raises(ConfigurationError, match="100 strikes"):
        strikes.strike(control, "q", Strike("n"))
    assert strikes.strike(control, "q", Strike("n", "0", 7)) == "unchanged"
    for rule in strikes.read_all(control, "q"):
        strikes.lift(control, "q", rule.id)
    assert redis.keys("fluxqueue:{q}:[cs]*") == []


def test_garbage_instead_of_strikes_stops_no_queue(scripts: Scripts, redis: Any) -> None:
    scripts.claim("c", message(1))
    redis.zadd(scripts.key("cancelled"), {"strikes": "+inf"})
    redis.set(scripts.key("strikes"), "text")
    assert "strikes" not in scripts.exchange("c", succeeded=[field(message(1))]).told
    assert scripts.stats()["succeeded"] == 1
    redis.delete(scripts.key("strikes"), scripts.key("cancelled"))


def test_a_worker_parks_what_is_struck_and_runs_it_once_the_strike_is_lifted(
    redis: Any, redis_url: str, control: RedisClient, tmp_path: Path
) -> None:
    tasks, of_default = declared(redis_url), Scripts(redis, "default")
    rules = [Strike("send", "order.id", 7), Strike("other"), Strike("answering", "0.id", 7)]
    for rule in rules:
        strikes.strike(control, "default", rule)
    for number in (7, 8):
        tasks["send"].enqueue({"id": number})
        tasks["other"].enqueue({"id": number})
    tasks["send"].enqueue(order={"id": 7})
    handle = tasks["answering"].enqueue({"id": 7})
    with WorkerProcess(tmp_path, redis_url, APP, lease=2) as worker:
        wait_until(lambda: of_default.stats() == {"succeeded": 1, "dead": 5}, what=worker.output)
        assert worker.notes() == ["send 8"]
        page = dead.read_page(control, "default")
        assert {task.reason for task in page.tasks} == {"struck"}
        assert handle.status() == "struck"
        for rule in rules:
            strikes.lift(control, "default", rule.id)
        # The worker hears of it by its next exchange.
        renewed = of_default.redis.zrange(of_default.key("consumers"), 0, -1, withscores=True)
        wait_until(
            lambda: (
                of_default.redis.zrange(of_default.key("consumers"), 0, -1, withscores=True)
                != renewed
            ),
            what=worker.output,
        )
        assert {one.verdict for one in replay(lambda: control, "default")} == {"requeued"}
        wait_until(lambda: of_default.stats()["succeeded"] == 6, what=worker.output)
        assert sorted(worker.notes()) == sorted(
            ["send 8", "send 7", "send 7", "other 7", "other 8"]
        )
        assert worker.stop() == 0


def test_an_idle_worker_learns_of_a_strike_by_its_renewal(
    redis: Any, redis_url: str, control: RedisClient, tmp_path: Path
) -> None:
    tasks, of_default = declared(redis_url), Scripts(redis, "default")
    with WorkerProcess(tmp_path, redis_url, APP, lease=2) as worker:
        worker.wait_for("worker.connected")
        strikes.strike(control, "default", Strike("send"))

        def lease() -> Any:
            return redis.zrange(of_default.key("consumers"), 0, -1, withscores=True)

        def wait_for_a_renewal() -> None:
            before = lease()
            wait_until(lambda: lease() != before, what=worker.output)

        # One may have been under way.
        wait_for_a_renewal()
        wait_for_a_renewal()
        tasks["send"].enqueue({"id": 7})
        wait_until(lambda: of_default.stats() == {"dead": 1}, what=worker.output)
        assert worker.notes() == []
        assert worker.stop() == 0
    strikes.lift(control, "default", Strike("send").id)
