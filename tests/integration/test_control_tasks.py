"""An operator finds a task by its id wherever it is, deletes it, and runs it before it is due."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fluxqueue import FluxQueue, TaskCancelled
from fluxqueue_control import audit, pausing, tasks
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings, key
from fluxqueue_core.errors import ConfigurationError
from support.redis_cluster import RedisCluster
from support.scripts import DAY, Outcome, Scripts, field, message, messages

# Redis 6.2 and Valkey answer these commands too.
pytestmark = pytest.mark.versions

REASON = b'{"reason":"failed","error":"e"}'
RANKED = '{"p":5}'


def task_id(raw: bytes) -> str:
    return raw[13:49].decode()


@pytest.fixture
def everywhere(scripts: Scripts) -> dict[str, bytes]:
    """A task in each place."""
    scripts.claim("c", message(6), message(5))
    scripts.exchange("c", outcomes=[Outcome(field(message(6)), "dead", REASON, "1")])
    scripts.enqueue(message(7))
    scripts.block("c")
    scripts.enqueue_ranked(message(3, opts=RANKED), message(4, opts=RANKED))
    scripts.enqueue(message(1), message(11))
    suspect, late = message(2, deliveries=2), message(8, retries=1)
    scripts.redis.rpush(scripts.key("suspects"), suspect)
    scripts.redis.zadd(scripts.key("delayed"), {late: scripts.now() + DAY})
    return {
        "pending": message(1),
        "suspects": suspect,
        "prioritized": message(4, opts=RANKED),
        "delayed": late,
        "claimed": message(5),
        "dead": message(6),
    }


def test_a_task_is_found_wherever_it_is(
    scripts: Scripts, control: RedisClient, everywhere: dict[str, bytes]
) -> None:
    found = {}
    for state, raw in everywhere.items():
        search = tasks.find(control, "q", task_id(raw))
        assert search.is_complete and search.task is not None
        assert (search.task.state, search.task.message) == (state, raw)
        found[state] = search.task
    assert (found["pending"].position, found["pending"].ahead) == (1, 1)
    assert found["claimed"].consumer == "c"
    assert found["dead"].entry == field(message(6))
    due = found["delayed"].due
    assert due is not None and abs(due * 1_000 - scripts.now() - DAY) < 60_000
    # In the inbox of a consumer, and at the head of pending because of its priority.
    places = {task_id(message(7)): "claimed", task_id(message(3)): "pending"}
    for name, place in places.items():
        in_place = tasks.find(control, "q", name).task
        assert in_place is not None and in_place.state == place
    assert tasks.find(control, "q", task_id(message(99))) == tasks.Search(None, True)


def test_a_search_says_if_a_list_was_too_long(scripts: Scripts, control: RedisClient) -> None:
    # The oldest one has the youngest id: it is not in the order of ids.
    scripts.enqueue(message(9_999), *(message(n) for n in range(3_000)))
    assert tasks.find(control, "q", task_id(message(9_999)), most=2_000) == tasks.Search(
        None, False
    )
    found = tasks.find(control, "q", task_id(message(9_999)), most=4_000).task
    assert found is not None and found.ahead == 0
    # Others are found near their places.
    found = tasks.find(control, "q", task_id(message(0)), most=1).task
    assert found is not None and found.ahead == 1
    with pytest.raises(ConfigurationError, match="queue name"):
        tasks.find(control, "a}b", task_id(message(0)))


def test_each_task_but_a_running_one_is_deleted(
    scripts: Scripts, control: RedisClient, everywhere: dict[str, bytes]
) -> None:
    for state, raw in everywhere.items():
        wanted = "running" if state == "claimed" else "deleted"
        assert tasks.delete(control, "q", task_id(raw)) == wanted, state
        again = "running" if state == "claimed" else "absent"
        assert tasks.delete(control, "q", task_id(raw)) == again, state
    assert scripts.list("pending") == [message(3, opts=RANKED), message(11)]
    assert scripts.list("suspects") == [] and scripts.delayed() == {} and scripts.dead() == {}
    assert scripts.held("c") == {field(message(5)): message(5)}
    assert scripts.stats() == {"dead": 1, "cancelled": 4}


def test_the_newest_and_the_oldest_of_many_are_deleted(
    scripts: Scripts, control: RedisClient
) -> None:
    scripts.enqueue(*(message(n) for n in range(5_000)))
    for number in (4_999, 0, 2_500):
        assert tasks.delete(control, "q", task_id(message(number))) == "deleted"
    assert len(scripts.list("pending")) == 4_997


def test_a_caller_that_waits_learns_of_the_deletion(
    control: RedisClient, redis: Any, redis_url: str
) -> None:
    app = FluxQueue(redis_url)
    work = app.declare("work", queue="q", unique=True, result_ttl=60)
    handle = work.enqueue(1)
    assert tasks.delete(control, "q", handle.id) == "deleted"
    with pytest.raises(TaskCancelled):
        handle.result(timeout=5)
    assert handle.status() == "cancelled"
    # Its lock is free.
    assert work.enqueue(1).created
    app.close()


def test_a_task_of_a_cluster_is_deleted_with_its_result(redis_cluster: RedisCluster) -> None:
    app, servers = FluxQueue(redis_cluster.url), Servers(Settings(redis_cluster.url))
    work = app.declare("work", queue="q", result_ttl=60)
    handle = work.enqueue(1)
    with ThreadPoolExecutor() as threads:
        waits = threads.submit(handle.result, 30)
        assert tasks.delete(servers.of_queue("q"), "q", handle.id) == "deleted"
        assert isinstance(waits.exception(), TaskCancelled)
    servers.close()
    app.close()


def test_a_delayed_task_runs_now(
    scripts: Scripts, control: RedisClient, everywhere: dict[str, bytes]
) -> None:
    late = everywhere["delayed"]
    assert tasks.run_now(control, "q", task_id(late)) == "moved"
    assert scripts.list("pending")[-1] == late and scripts.delayed() == {}
    assert tasks.run_now(control, "q", task_id(late)) == "not_delayed"
    assert tasks.run_now(control, "q", task_id(message(99))) == "absent"


def test_a_queue_is_paused_and_resumed(scripts: Scripts, control: RedisClient) -> None:
    scripts.open("c")
    scripts.enqueue(message(1))
    assert pausing.pause(control, "q") and not pausing.pause(control, "q")
    assert pausing.read_paused(control, ["q", "other"]) == {"q": True, "other": False}
    paused = scripts.exchange("c", 1)
    assert paused.claimed == [] and paused.told["paused"] == 1
    assert pausing.resume(control, "q") and not pausing.resume(control, "q")
    assert scripts.exchange("c", 1).claimed == [message(1)]
    assert not scripts.redis.exists(key("paused", "q"))


def test_a_task_moves_to_another_queue_once(
    scripts: Scripts, redis: Any, control: RedisClient, everywhere: dict[str, bytes]
) -> None:
    other = Scripts(redis, "other")
    moved = {
        place: tasks.move(control, "q", task_id(raw), "other") for place, raw in everywhere.items()
    }
    assert moved.pop("claimed") == "running"
    assert set(moved.values()) == {"moved"} and len(moved) == 5
    assert len(other.delayed()) == 5
    due = other.delayed()[everywhere["delayed"]]
    assert due > scripts.now()
    ids = {task_id(raw) for place, raw in everywhere.items() if place != "claimed"}
    assert {task_id(raw) for raw in other.delayed()} == ids
    for each in ids:
        assert tasks.move(control, "q", each, "other") == "absent"
        assert tasks.find(control, "q", each).task is None
    assert len(other.delayed()) == 5
    noted = {entry.on for entry in audit.read_page(control, "q").entries if entry.what == "move"}
    assert noted == {f"{each} to other" for each in ids}
    with pytest.raises(ConfigurationError, match="has these tasks already"):
        tasks.move(control, "q", task_id(everywhere["claimed"]), "q")


def test_a_task_that_can_not_move_stays(scripts: Scripts, redis: Any, control: RedisClient) -> None:
    kept = message(1, opts='{"r":60000}')
    scripts.enqueue(kept, *messages(range(10, 53_000)))
    assert tasks.move(control, "q", task_id(kept), "other") == "bound"
    middle = task_id(message(26_000))
    assert tasks.move(control, "q", middle, "other") == "too_deep"
    found = tasks.find(control, "q", middle).task
    assert found is not None and found.state == "pending"
    assert not redis.exists(key("delayed", "other"))
