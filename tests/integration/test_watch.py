"""`fluxqueue watch` prints a line for each queue at intervals, by a bounded number of calls."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_control.servers import Servers
from fluxqueue_control.watching import COUNTED, Observer, watch
from fluxqueue_core import Settings, key
from support.monitored import monitored
from support.operator_commands import objects, run
from support.planted_operations import plant_numbers
from support.scripts import Scripts, message, messages

pytestmark = pytest.mark.versions


def test_each_queue_has_a_line_for_each_look(scripts: Scripts, redis: Any, redis_url: str) -> None:
    redis.sadd(key("queues"), "q", "r")
    scripts.enqueue(*messages(range(3)))
    lines = objects(redis_url, "watch", "--interval", "0.1", "--count", "2")
    assert [(line["queue"], line["pending"]) for line in lines] == [("q", 3), ("r", 0)] * 2
    assert "succeeded_per_second" not in lines[0] and lines[2]["succeeded_per_second"] == 0
    [line] = run(redis_url, "watch", "q", "--count", "1")[0].splitlines()
    assert line.split()[1:3] == ["q", "pending=3"] and " paused=no " in line


def test_a_line_has_the_times_that_workers_have_counted(scripts: Scripts, redis_url: str) -> None:
    plant_numbers(scripts.redis, "q", {"n": (9, 1, 2.0)})
    scripts.enqueue(message(1))
    [line] = objects(redis_url, "watch", "q", "--count", "1")
    assert 48 <= line["wait_p95_seconds"] <= 60 and 16 <= line["run_p95_seconds"] <= 20
    assert line["oldest_seconds"] > 0
    assert 0 < scripts.redis.ttl(scripts.key("watched")) <= 120
    scripts.redis.delete(scripts.key("pending"))
    [line] = objects(redis_url, "watch", "r", "--count", "1")
    times = [line[f"{name}_seconds"] for name in ("oldest", "wait_p95", "run_p95")]
    assert times == [None, None, None]


def test_only_changes_are_printed(scripts: Scripts, redis_url: str) -> None:
    scripts.enqueue(message(1))
    words = ("watch", "q", "--changes", "--interval", "0.1", "--count", "3")
    assert len(objects(redis_url, *words)) == 1


def test_watch_ends_when_the_queues_are_empty(scripts: Scripts, redis_url: str) -> None:
    scripts.enqueue(message(1))
    run(redis_url, "watch", "q", "--until-empty", "--count", "1", code=1)
    scripts.redis.delete(scripts.key("pending"))
    assert len(objects(redis_url, "watch", "q", "--until-empty")) == 1


def test_rates_are_those_since_the_last_look(scripts: Scripts, redis_url: str) -> None:
    servers = Servers(Settings(redis_url))
    stats = scripts.key("stats")
    scripts.redis.hset(stats, mapping={"succeeded": 1_000, "dead": 5})
    steps = iter([("succeeded", 50), ("dead", -5)])
    looks = watch(
        Observer(servers, ["q"]), 0.0, lambda _: scripts.redis.hincrby(stats, *next(steps))
    )
    [first], [second], [third] = next(looks), next(looks), next(looks)
    assert first.rates == {} and set(second.rates) == set(COUNTED)
    assert second.rates["succeeded"] > 0 and second.rates["dead"] == 0
    assert third.rates == dict.fromkeys(COUNTED, 0.0)  # the counter began again
    servers.close()


def test_a_wrong_interval_is_a_wrong_use(redis_url: str) -> None:
    for wrong in ("0", "x", "nan"):
        assert "seconds" in run(redis_url, "watch", "--interval", wrong, code=2)[1]
    assert "looks" in run(redis_url, "watch", "--count", "0", code=2)[1]


def test_a_look_takes_few_commands_for_each_queue(
    scripts: Scripts, redis: Any, redis_url: str
) -> None:
    names = [f"q{number}" for number in range(10)]
    redis.sadd(key("queues"), *names)
    servers = Servers(Settings(redis_url))
    observer = Observer(servers)
    observer.observe()
    scripts.enqueue(*messages(range(1_000)))
    with monitored(redis) as commands:
        assert len(observer.observe()) == 10
    # With the numbers of a slot that has just ended.
    assert len(commands.plain) <= 4 + 15 * len(names) and commands.of_scripts == []
    servers.close()
