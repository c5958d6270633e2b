"""A database other than 0 of a cluster: Valkey 9 has it, other servers refuse it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fluxqueue import BrokerError, FluxQueue
from fluxqueue_core import key
from redis import Redis
from support.ports import free_ports
from support.redis_cluster import RedisCluster
from support.redis_process import RedisProcess
from support.system import System
from support.waiting import wait_until

APP = """
@fluxqueue.task(retry_delay=0.05)
def fails_once(number):
    if not os.path.exists(f"failed-{number}"):
        open(f"failed-{number}", "w").close()
        raise ValueError("once")
    with ledger.run(number):
        pass
"""


def has_databases(tmp_path: Path) -> bool:
    (port,) = free_ports(1)
    server = RedisProcess(tmp_path / "asked", port, {"save": ""})
    server.start()
    found = server.client.config_get("cluster-databases")
    server.kill()
    return bool(found)


@pytest.mark.versions
def test_another_database_of_a_cluster(tmp_path: Path) -> None:
    has_more = has_databases(tmp_path)
    options: dict[str, object] = {"cluster-databases": 2} if has_more else {}
    with RedisCluster(tmp_path / "nodes", replicas=0, options=options) as servers:
        url = f"{servers.url}/1"
        if not has_more:
            app = FluxQueue(url)

            @app.task()
            def work() -> None: ...

            with pytest.raises(BrokerError, match=r"Redis refused SELECT.*cluster-databases"):
                work()
            app.close()
            return
        owner = servers.owner(key("pending", "default"))
        (tmp_path / "system").mkdir()
        system = System(
            tmp_path / "system",
            url,
            APP,
            lease=2,
            redis_client=lambda: Redis(port=owner.port, db=1),
        )
        with system:
            system.start_scheduler()
            worker = system.start_worker()
            system.enqueue("fails_once", range(5))
            system.wait_until_ended(range(5))
            wait_until(lambda: system.stats() == {"succeeded": 5, "retried": 5})
            assert worker.stop() == 0
        assert owner.client.dbsize() == 0
