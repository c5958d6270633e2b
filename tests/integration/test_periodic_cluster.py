"""Periodic tasks of a cluster, and of a namespace: their keys are in the queue's hash slot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.redis_cluster import RedisCluster
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until


def runs(client: Any, queue: str, namespace: str = "") -> int:
    found: int = client.llen(key("pending", queue, namespace=namespace))
    return found


def test_each_master_has_its_periodic_tasks_and_a_hash_slot_may_move(
    redis_cluster: RedisCluster, tmp_path: Path
) -> None:
    app = FluxQueue(redis_cluster.url)

    @app.task()
    def work() -> None: ...

    queues = [redis_cluster.queue_on(node) for node in redis_cluster.masters()]
    with redis_cluster.client() as client:
        client.sadd(key("queues"), *queues)
        for queue in queues:
            call = work.options(queue=queue).call()
            assert app.schedule("a", call, every=1, catch_up=100, expires=None) == "added"
        with SchedulerProcess(tmp_path, redis_cluster.url) as scheduler:
            for queue in queues:
                wait_until(lambda q=queue: runs(client, q) >= 2, what=scheduler.output)  # type: ignore[misc]
            moved = queues[0]
            target = redis_cluster.owner(key("pending", queues[1]))
            redis_cluster.move_hash_slot(redis_cluster.hash_slot(key("pending", moved)), target)
            before = runs(client, moved)
            wait_until(lambda: runs(client, moved) >= before + 3, what=scheduler.output)
            assert app.unschedule("a", queue=moved) is True
        ids = [raw[13:49] for raw in client.lrange(key("pending", moved), 0, -1)]
        assert len(set(ids)) == len(ids)
        moments = sorted(int(i[:8] + i[9:13], 16) for i in ids)
        assert moments == list(range(moments[0], moments[-1] + 1_000, 1_000))
    app.close()


def test_a_namespace_has_its_own_periodic_tasks(redis: Any, redis_url: str, tmp_path: Path) -> None:
    for namespace in ("", "shop"):
        app = FluxQueue(redis_url, namespace=namespace)

        @app.task(queue="q")
        def work() -> None: ...

        app.schedule("a", work.call(), every=1)
        app.close()
        redis.sadd(key("queues", namespace=namespace), "q")
    with SchedulerProcess(tmp_path, redis_url, namespace="shop") as scheduler:
        wait_until(lambda: runs(redis, "q", "shop") >= 2, what=scheduler.output)
    assert runs(redis, "q") == 0
