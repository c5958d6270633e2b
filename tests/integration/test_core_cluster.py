"""Producer and worker on a real cluster: hash slots that move, masters that are replaced."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerError, BrokerUnavailable, EnqueueUncertain
from fluxqueue_core import Route, key
from support.producing import numbers, producer
from support.redis_cluster import RedisCluster
from support.redis_process import RedisProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess


def route(queue: str) -> Route:
    return Route(queue, "task")


def app(*queues: str) -> str:
    """One task for each queue, which notes its number."""
    task = """
@fluxqueue.task(queue={queue!r}, name="task")
def task_of_{queue}(number):
    note(f"{queue} {{number}}")
"""
    return "".join(task.format(queue=queue) for queue in queues)


def another(servers: RedisCluster, node: RedisProcess) -> RedisProcess:
    return next(other for other in servers.masters() if other is not node)


def in_queue(servers: RedisCluster, queue: str) -> list[Any]:
    return numbers(servers.owner(f"{{{queue}}}").client, queue)


def refused(node: RedisProcess, code: str) -> int:
    """How many commands the node has refused with this code."""
    return int(node.client.info("errorstats").get(f"errorstat_{code}", {"count": 0})["count"])


async def gathered(sender: Any, queue: str, numbers: range) -> None:
    await asyncio.gather(*(sender.enqueue_async(route(queue), (n,), {}) for n in numbers))


def test_each_queue_goes_to_the_owner_of_its_slot(cluster: RedisCluster) -> None:
    sender = producer(cluster.url)
    queues = [cluster.queue_on(node, "owner") for node in cluster.masters()]
    assert len(set(queues)) == 3

    async def all_at_once() -> None:
        await asyncio.gather(*(gathered(sender, queue, range(1, 11)) for queue in queues))

    for queue in queues:
        sender.enqueue(route(queue), (0,), {})
    asyncio.run(all_at_once())
    for queue in queues:
        calls = [(n,) for n in range(11, 2_500)]
        assert sender.enqueue_many(route(queue), calls, lambda _: None) == len(calls)
        assert in_queue(cluster, queue) == list(range(2_500))


def test_one_node_of_the_url_is_enough(cluster: RedisCluster) -> None:
    known = cluster.nodes[0]
    queue = cluster.queue_on(another(cluster, known), "seed")
    sender = producer(f"redis+cluster://:pw@127.0.0.1:1,{known.address}")
    sender.enqueue(route(queue), (1,), {})
    assert in_queue(cluster, queue) == [1]


def test_a_thread_has_one_connection_for_each_node_it_needs(cluster: RedisCluster) -> None:
    queues = cluster.queues_on(cluster.nodes[0], "shared")
    sender = producer(cluster.url)
    sender.enqueue(route(next(queues)), (0,), {})
    [own] = [c for c in cluster.nodes[0].client.client_list() if c["cmd"] == "lpush"]
    for _ in range(3):
        sender.enqueue(route(next(queues)), (0,), {})
    pushing = [c for c in cluster.nodes[0].client.client_list() if c["cmd"] == "lpush"]
    assert [c["id"] for c in pushing] == [own["id"]]


def test_errors_say_what_each_node_said(cluster: RedisCluster) -> None:
    sender = producer("redis+cluster://127.0.0.1:1,127.0.0.1:2", timeout=0.3)
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1: .*; 127\.0\.0\.1:2: "):
        sender.enqueue(route("q"), (), {})
    with pytest.raises(BrokerError, match="WRONGPASS") as caught:
        producer(cluster.url.replace("pw", "s3cret")).enqueue(route("q"), (), {})
    assert "s3cret" not in str(caught.value)
    node = another(cluster, cluster.owner("{q}"))
    with pytest.raises(BrokerError, match=r"MOVED .* use redis\+cluster://"):
        producer(f"redis://:pw@{node.address}").enqueue(route("q"), (), {})


def test_a_cluster_url_of_a_single_server_raises_an_error(redis_url: str) -> None:
    url = redis_url.replace("redis://", "redis+cluster://").rpartition("/")[0]
    with pytest.raises(BrokerError, match="single server, use redis://"):
        producer(url).enqueue(route("q"), (), {})


WAYS = ["sync", "async", "bulk"]


def enqueue(sender: Any, way: str, queue: str, numbers: range) -> None:
    if way == "sync":
        for n in numbers:
            sender.enqueue(route(queue), (n,), {})
    elif way == "async":
        asyncio.run(gathered(sender, queue, numbers))
    else:
        sender.enqueue_many(route(queue), [(n,) for n in numbers], lambda _: None)


@pytest.mark.parametrize("way", WAYS)
def test_a_hash_slot_on_its_way_and_after_it(cluster: RedisCluster, way: str) -> None:
    """ASK while it moves, MOVED afterwards; the order is kept."""
    queue = f"moving-{way}"
    hash_slot = cluster.hash_slot(f"{{{queue}}}")
    source = cluster.owner(hash_slot)
    target = another(cluster, source)
    sender = producer(cluster.url)
    enqueue(sender, way, queue, range(3_000))
    cluster.begin_move(hash_slot, target)
    # The key is there still: the source serves it.
    enqueue(sender, way, queue, range(3_000, 3_010))
    cluster.move_keys(hash_slot, target)
    asked = int(target.client.info("commandstats").get("cmdstat_asking", {"calls": 0})["calls"])
    enqueue(sender, way, queue, range(3_010, 3_020))
    now = int(target.client.info("commandstats")["cmdstat_asking"]["calls"])
    assert now > asked
    cluster.end_move(hash_slot, target)
    enqueue(sender, way, queue, range(3_020, 6_000))
    assert cluster.owner(hash_slot) is target
    assert in_queue(cluster, queue) == list(range(6_000))


def send(sender: Any, way: str, queue: str, numbers: range) -> None:
    """Enqueues by the script, as calls with a due time and the like will do."""
    scripted = Route(queue, "task", delay=0)

    async def on_a_loop() -> None:
        calls = (sender.enqueue_async(scripted, (n,), {}) for n in numbers)
        await asyncio.gather(*calls)

    if way == "sync":
        for n in numbers:
            sender.enqueue(scripted, (n,), {})
    elif way == "async":
        asyncio.run(on_a_loop())
    else:
        calls = [(n,) for n in numbers]
        sender.enqueue_many(scripted, calls, lambda _: None)


@pytest.mark.parametrize("way", WAYS)
def test_a_script_waits_while_its_hash_slot_moves(cluster: RedisCluster, way: str) -> None:
    """With some of its keys moved, both nodes refuse the script with TRYAGAIN or ASK."""
    queue = f"scripted-{way}"
    hash_slot = cluster.hash_slot(f"{{{queue}}}")
    source = cluster.owner(hash_slot)
    target = another(cluster, source)
    sender = producer(cluster.url, timeout=30)
    send(sender, way, queue, range(3))
    cluster.begin_move(hash_slot, target)
    cluster.move_keys(hash_slot, target)
    before = refused(target, "TRYAGAIN")
    with ThreadPoolExecutor(1) as thread:
        later = thread.submit(send, sender, way, queue, range(3, 6))
        try:
            wait_until(lambda: refused(target, "TRYAGAIN") > before)
            assert not later.done()
        finally:
            cluster.end_move(hash_slot, target)
        later.result(timeout=60)
    assert cluster.owner(hash_slot) is target
    send(sender, way, queue, range(6, 9))
    assert in_queue(cluster, queue) == list(range(9))


def test_an_open_loop_follows_a_hash_slot_that_moves(cluster: RedisCluster) -> None:
    """One loop, whose connection leads to the old owner, and waits in the middle of it."""
    hash_slot = cluster.hash_slot("{loop}")
    target = another(cluster, cluster.owner(hash_slot))
    sender = producer(cluster.url)

    async def run() -> None:
        await gathered(sender, "loop", range(10))
        await asyncio.to_thread(cluster.begin_move, hash_slot, target)
        await asyncio.to_thread(cluster.move_keys, hash_slot, target)
        for first in range(10, 50, 10):
            await gathered(sender, "loop", range(first, first + 10))
        await asyncio.to_thread(cluster.end_move, hash_slot, target)
        await gathered(sender, "loop", range(50, 60))

    asyncio.run(run())
    assert in_queue(cluster, "loop") == list(range(60))


def test_a_worker_serves_queues_of_all_nodes(cluster: RedisCluster, tmp_path: Path) -> None:
    queues = [cluster.queue_on(node, "served") for node in cluster.masters()]
    sender = producer(cluster.url)
    with WorkerProcess(tmp_path, cluster.url, app(*queues), queue=",".join(queues)) as worker:
        for queue in queues:
            enqueue(sender, "bulk", queue, range(50))
        expected = {f"{queue} {n}" for queue in queues for n in range(50)}
        wait_until(lambda: set(worker.notes()) == expected, what=worker.output)
        registry = cluster.owner(key("queues"))
        assert {name.encode() for name in queues} <= {
            name.encode() for name in registry.client.smembers(key("queues"))
        }
        assert worker.stop() == 0
    assert len(worker.notes()) == 150
    for queue in queues:
        client = cluster.owner(f"{{{queue}}}").client
        assert client.hget(key("stats", queue), "succeeded") == "50"
        assert not client.keys(key("claimed", queue, "*"))


def test_a_busy_queue_is_resharded(cluster: RedisCluster, tmp_path: Path) -> None:
    """Its hash slot goes from node to node, key by key, while tasks flow: none is lost, none
    runs twice, and the order of the calls of a thread stays."""
    queue = "busy"
    hash_slot = cluster.hash_slot(f"{{{queue}}}")
    sender = producer(cluster.url, timeout=30)
    stop = threading.Event()
    counts = dict.fromkeys(WAYS, 0)
    first = {"sync": 0, "async": 10**6, "bulk": 2 * 10**6}

    def one(way: str) -> None:
        size = {"sync": 1, "async": 7, "bulk": 5}[way]
        while not stop.is_set():
            begin = first[way] + counts[way]
            enqueue(sender, way, queue, range(begin, begin + size))
            counts[way] += size
            stop.wait(0.002)

    threads = [threading.Thread(target=one, args=(way,)) for way in WAYS]
    with WorkerProcess(tmp_path, cluster.url, app(queue), queue=queue, concurrency=4) as worker:
        worker.wait_for("worker.connected")
        for thread in threads:
            thread.start()

        def some_more_run() -> None:
            ran = len(worker.notes())
            wait_until(lambda: len(worker.notes()) > ran + 50, 60, worker.output)

        for _ in range(4):
            some_more_run()
            cluster.move_hash_slot(hash_slot, another(cluster, cluster.owner(hash_slot)))
        some_more_run()
        stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        expected = {f"{queue} {first[way] + n}" for way in WAYS for n in range(counts[way])}
        wait_until(
            lambda: set(worker.notes()) >= expected,
            60,
            lambda: f"{len(expected - set(worker.notes()))} more; {worker.output()}",
        )
        assert worker.stop() == 0
    notes = worker.notes()
    assert len(notes) == len(set(notes)) and set(notes) == expected
    client = cluster.owner(hash_slot).client
    assert not client.exists(key("pending", queue))
    assert not client.keys(key("claimed", queue, "*"))


def test_a_worker_waits_while_its_keys_are_in_two_places(
    cluster: RedisCluster, tmp_path: Path
) -> None:
    """TRYAGAIN and ASK are no reason to give up the conversation or a task that runs."""
    queue = "halfway"
    source_code = """
@fluxqueue.task(queue="halfway", name="task")
def task(number):
    note(f"begin {number}")
    while not os.path.exists("go"):
        time.sleep(0.01)
    note(f"end {number}")
"""
    hash_slot = cluster.hash_slot(f"{{{queue}}}")
    target = another(cluster, cluster.owner(hash_slot))
    sender = producer(cluster.url)
    with WorkerProcess(tmp_path, cluster.url, source_code, queue=queue, concurrency=1) as worker:
        worker.wait_for("worker.connected")
        enqueue(sender, "sync", queue, range(2))
        wait_until(lambda: worker.notes() == ["begin 0"], what=worker.output)
        cluster.begin_move(hash_slot, target)
        cluster.move_keys(hash_slot, target, limit=1)
        (tmp_path / "go").touch()
        wait_until(lambda: "end 0" in worker.notes(), what=worker.output)
        enqueue(sender, "sync", queue, range(2, 4))
        cluster.move_keys(hash_slot, target)
        cluster.end_move(hash_slot, target)
        wait_until(lambda: "end 3" in worker.notes(), what=worker.output)
        wait_until(
            lambda: target.client.hget(key("stats", queue), "succeeded") == "4", what=worker.output
        )
        assert worker.stop() == 0
    assert worker.notes() == [f"{what} {n}" for n in range(4) for what in ("begin", "end")]


def test_a_master_is_killed(redis_cluster: RedisCluster, tmp_path: Path) -> None:
    """Tasks that a replica had acknowledged are there afterwards, and run; the queues of
    other masters are not affected."""
    servers = redis_cluster
    victim, other = servers.masters()[:2]
    queues = [servers.queue_on(victim), servers.queue_on(other)]
    sender = producer(servers.url, timeout=90, connect_timeout=1, wait_replicas=1, wait_timeout=30)
    stop = threading.Event()
    acknowledged: list[str] = []
    uncertain: list[str] = []

    def enqueue_until_the_end(queue: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                sender.enqueue(route(queue), (number,), {})
            except EnqueueUncertain:
                uncertain.append(f"{queue} {number}")
            else:
                acknowledged.append(f"{queue} {number}")
            stop.wait(0.002)

    def of(queue: str) -> int:
        return sum(text.startswith(f"{queue} ") for text in acknowledged)

    threads = [threading.Thread(target=enqueue_until_the_end, args=(q,)) for q in queues]
    with WorkerProcess(
        tmp_path, servers.url, app(*queues), queue=",".join(queues), lease=4
    ) as worker:
        for thread in threads:
            thread.start()
        wait_until(lambda: all(of(queue) > 100 for queue in queues), what="enqueued tasks")
        servers.kill(victim)
        servers.wait_until_healthy()
        # The new master has no replica before this one is back.
        victim.start()
        before = {queue: of(queue) for queue in queues}
        wait_until(
            lambda: all(of(q) > before[q] + 50 for q in queues),
            90,
            lambda: f"{before}, {uncertain}; {servers.report()}",
        )
        stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        wait_until(lambda: set(worker.notes()) >= set(acknowledged), 60, worker.output)
        assert worker.stop() == 0
    assert set(worker.notes()) <= set(acknowledged) | set(uncertain)


def test_calls_that_wait_for_replicas_follow_a_failover(redis_cluster: RedisCluster) -> None:
    """The next connection leads to the old master, which is a replica and refuses WAIT."""
    servers = redis_cluster
    master = servers.masters()[0]
    queue = servers.queue_on(master)
    sender = producer(servers.url, timeout=60, wait_replicas=1, wait_timeout=30)
    sender.enqueue(route(queue), (0,), {})
    servers.failover(master)
    master.client.execute_command("CLIENT KILL TYPE normal SKIPME yes")
    sender.enqueue(route(queue), (1,), {})
    assert in_queue(servers, queue) == [0, 1]


def test_a_failover_as_an_operator_asks_for_it(redis_cluster: RedisCluster) -> None:
    """Nothing is lost and nothing comes twice: the old master sends to the new one."""
    servers = redis_cluster
    queue = servers.queue_on(servers.masters()[0])
    sender = producer(servers.url, timeout=30)
    for number, way in enumerate(WAYS):
        enqueue(sender, way, queue, range(200 * number, 200 * number + 100))
        servers.failover(servers.owner(f"{{{queue}}}"))
        enqueue(sender, way, queue, range(200 * number + 100, 200 * number + 200))
    assert in_queue(servers, queue) == list(range(600))
