"""`fluxqueue migrate` moves what FluxQueue 0.3.2 has left in Redis, once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_control import dead, migrating
from fluxqueue_control.old_messages import converted
from fluxqueue_control.servers import Servers
from fluxqueue_core import Producer, Settings, key, parse_message
from fluxqueue_core.errors import ConfigurationError
from support.old_messages import ADD, ADD_NESTED, MAIL, old_message
from support.operator_commands import objects, run
from support.redis_cluster import RedisCluster
from support.waiting import wait_until
from support.worker_process import WorkerProcess

WAITING, DELAYED, DEAD = "fluxqueue:queue:q", "fluxqueue:failed:q", "fluxqueue:dead:q"
APP = """
@fluxqueue.task(queue="q")
def add(a, b=2, **more):
    note([a, b, more])

@fluxqueue.task(queue="q")
def work(number):
    note(number)
"""


@pytest.fixture
def old(redis: Any) -> Iterator[Any]:
    """A Redis whose keys of 0.3.2 are removed after the test."""
    yield redis
    for name in redis.scan_iter("fluxqueue:queue:*"):
        redis.delete(name)
    redis.delete(DELAYED, DEAD)


def names(redis: Any) -> list[str]:
    """The names of the tasks that wait, the next one first."""
    return [
        parse_message(raw)["name"] for raw in reversed(redis.lrange(key("pending", "q"), 0, -1))
    ]


def has_moved(redis: Any, count: int) -> bool:
    return bool(redis.llen(key("pending", "q")) > count)


def test_each_part_moves_to_its_own(old: Any, redis_url: str) -> None:
    old.lpush(WAITING, ADD, ADD_NESTED)
    old.zadd(DELAYED, {old_message(1, name="later", retries=2): 4_000_000_000})
    old.lpush(DEAD, old_message(name="broken", retries=3))
    [answer] = objects(redis_url, "migrate")
    assert answer == {
        "queue": "q", "target": "q", "waiting": 2, "delayed": 1, "dead": 1,
        "left": 0, "gone": 0, "reasons": [], "moved": True,
    }  # fmt: skip
    assert old.exists(WAITING, DELAYED, DEAD) == 0
    first = parse_message(old.lrange(key("pending", "q"), -1, -1)[0])
    assert first["task_id"].encode() in ADD
    [(raw, due)] = old.zrange(key("delayed", "q"), 0, -1, withscores=True)
    later = parse_message(raw)
    assert (later["name"], later["retries"], due) == ("later", 2, 4_000_000_000_000)
    servers = Servers(Settings(redis_url))
    [gone] = dead.read_page(servers.of_queue("q"), "q").tasks
    assert gone.message is not None
    assert (parse_message(gone.message)["name"], gone.reason) == ("broken", "failed")
    run(redis_url, "dead", "replay", "-q", "q", "--all")
    assert names(old) == ["add", "add", "broken"]
    audited = objects(redis_url, "audit", "q")
    assert {each["on"] for each in audited if each["what"] == "migrate"} == {"queue q of 0.3.2"}
    assert objects(redis_url, "migrate") == []
    servers.close()


def test_a_worker_runs_what_has_moved(old: Any, redis_url: str, tmp_path: Path) -> None:
    old.lpush(WAITING, ADD, ADD_NESTED)
    run(redis_url, "migrate", "q")
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=1, queue="q") as worker:
        wait_until(lambda: len(worker.notes()) == 2)
        assert worker.stop() == 0
    assert worker.notes() == ["[1, 2, {}]", "[[1, {'a': None}], 2, {'c': {'x': [True]}}]"]


def test_a_name_of_which_the_code_is_not_known_stays(old: Any, redis_url: str) -> None:
    old.lpush(WAITING, MAIL, ADD)
    [answer] = objects(redis_url, "migrate", "q", code=1)
    assert (answer["waiting"], answer["left"]) == (1, 1)
    assert "--name send-mail=send_mail" in answer["reasons"][0]["reason"]
    run(redis_url, "migrate", "q", "--name", "send-mail=send_mail")
    assert names(old) == ["add", "send_mail"]
    _, error = run(redis_url, "migrate", "q", "--name", "send-mail", code=2)
    assert "is not OLD=NEW" in error


def test_a_dry_run_moves_nothing(old: Any, redis_url: str) -> None:
    old.lpush(WAITING, ADD, b"garbage", ADD_NESTED)
    old.lpush("fluxqueue:queue:mails", MAIL)
    out, _ = run(redis_url, "migrate", "--dry-run", "--underscores", code=1)
    assert out.splitlines() == [
        "mails to mails: would move 1 waiting, 0 delayed, 0 dead; 0 stay",
        "q to q: would move 2 waiting, 0 delayed, 0 dead; 1 stay",
        "  a waiting task stays: it is not MessagePack: MessagePack data is malformed: trailing "
        "characters (byte 1)",
    ]
    assert old.llen(WAITING) == 3
    assert old.exists(key("pending", "q"), key("pending", "mails"), key("audit", "q")) == 0


def test_a_task_that_cannot_move_stays_and_hinders_no_other(old: Any, redis_url: str) -> None:
    bad = [b"garbage", old_message(float("inf")), old_message(b"bytes")]
    old.lpush(WAITING, bad[0], ADD, bad[1], *[old_message(n) for n in range(300)], bad[2])
    for moved in (301, 0):
        [answer] = objects(redis_url, "migrate", "q", code=1)
        assert (answer["waiting"], answer["left"], answer["gone"]) == (moved, 3, 0)
        assert len(answer["reasons"]) == 3
    assert old.lrange(WAITING, 0, -1) == bad[::-1]
    assert old.llen(key("pending", "q")) == 301


def test_the_dead_set_keeps_what_it_has(old: Any, redis_url: str) -> None:
    message = old_message(1, name="first")
    old.lpush(DEAD, message)
    run(redis_url, "migrate", "q")
    old.lpush(DEAD, message)
    [answer] = objects(redis_url, "migrate", "q", code=1)
    assert (answer["dead"], answer["left"]) == (0, 1)
    assert answer["reasons"][0]["reason"] == "the dead set has a task with its id already"
    assert old.lrange(DEAD, 0, -1) == [message]


def test_another_queue_and_namespace_get_them(
    old: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXQUEUE_NAMESPACE", "shop")
    old.lpush(WAITING, ADD)
    run(redis_url, "migrate", "q", "--to", "new")
    assert old.llen(key("pending", "new", namespace="shop")) == 1
    assert old.exists(WAITING, key("pending", "q"), key("pending", "q", namespace="shop")) == 0


def test_killed_in_the_middle_it_loses_and_doubles_nothing(old: Any, redis_url: str) -> None:
    numbers = range(5_000)
    for start in numbers[::500]:
        old.lpush(WAITING, *[old_message(n) for n in numbers[start : start + 500]])
    command = [sys.executable, "-m", "fluxqueue", "migrate", "q", "-r", redis_url]
    for goal in (300, 1_000, 2_000):
        process = subprocess.Popen([*command, "--rate", "1000"], stdout=subprocess.DEVNULL)
        wait_until(partial(has_moved, old, goal))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert old.llen(WAITING) > 0
    # The rest by two processes at once.
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert old.exists(WAITING) == 0
    found = [parse_message(raw)["args"] for raw in old.lrange(key("pending", "q"), 0, -1)]
    assert sorted(found) == sorted(b"[%d]" % number for number in numbers)


def test_a_task_that_an_old_worker_takes_meanwhile_is_not_added(
    old: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.lpush(WAITING, ADD, ADD_NESTED)
    servers = Servers(Settings(redis_url))
    client = servers.of_queue("q")

    def late(raw: bytes, **keywords: Any) -> bytes:
        if raw == ADD:
            assert old.rpop(WAITING) == ADD
        return converted(raw, **keywords)

    monkeypatch.setattr("fluxqueue_control.migrating.converted", late)
    producer = Producer(Settings(redis_url))
    *_, found = migrating.migrate(client, producer, "q", "q")
    assert (found.moved["waiting"], found.gone, found.left) == (1, 1, 0)
    assert old.llen(key("pending", "q")) == 1
    servers.close()


def test_a_key_of_another_type_is_an_error_and_nothing_moves(old: Any, redis_url: str) -> None:
    old.lpush(WAITING, ADD)
    old.set(key("pending", "q"), "text")
    _, error = run(redis_url, "migrate", "q", code=3)
    assert "WRONGTYPE" in error
    assert old.lrange(WAITING, 0, -1) == [ADD]
    old.delete(key("pending", "q"))


def test_a_cluster_is_refused(cluster: RedisCluster) -> None:
    servers = Servers(Settings(cluster.url))
    producer = Producer(Settings(cluster.url))
    with pytest.raises(ConfigurationError, match="single server"):
        next(migrating.migrate(servers.of_queue("q"), producer, "q", "q"))
    servers.close()


def test_the_rate_bounds_the_moves(old: Any, redis_url: str) -> None:
    old.lpush(WAITING, *[old_message(n) for n in range(60)])
    began = time.monotonic()
    run(redis_url, "migrate", "q", "--rate", "30")
    assert time.monotonic() - began > 1.9  # never sooner, whatever the machine does
    assert old.llen(key("pending", "q")) == 60
