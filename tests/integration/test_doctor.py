"""The doctor names what is wrong, what to do, and what it was not allowed to see."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_control import pausing
from fluxqueue_control.doctor import Diagnosis, examine, traffic, worst
from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings, key
from fluxqueue_core.errors import ConfigurationError
from support import acl
from support.monitored import monitored
from support.redis_cluster import RedisCluster
from support.scheduler_process import SchedulerProcess
from support.scripts import DAY, Outcome, Scripts, field, message
from support.waiting import wait_until

pytestmark = pytest.mark.versions
SERVER = {"latency", "clock", "version", "persistence", "eviction", "maxmemory", "clients"}
RIGHTS = {"user", "rights"}
QUEUE = {"scheduler", "workers", "tombstones"}
WHO = '{"host":"h","pid":7,"version":"1","slots":2}'


@pytest.fixture
def served(admin: Any) -> Scripts:
    """A queue with a worker and a scheduler."""
    scripts = Scripts(admin)
    admin.sadd(key("queues"), "q")
    scripts.open("c", who=WHO, lease=DAY)
    scripts.be_swept()
    return scripts


@pytest.fixture
def configured(admin: Any) -> Iterator[Any]:
    """Sets the server's configuration, and takes it back."""
    before: dict[str, str] = {}

    def configure(**settings: str) -> None:
        for name, value in settings.items():
            name = name.replace("_", "-")
            before.setdefault(name, admin.config_get(name)[name])
            admin.config_set(name, value)

    yield configure
    for name, value in before.items():
        admin.config_set(name, value)


def examined(url: str, *queues: str) -> list[Diagnosis]:
    servers = Servers(Settings(url))
    try:
        return list(examine(servers, queues, seconds=0.05))
    finally:
        servers.close()


def statuses(found: list[Diagnosis]) -> dict[str, str]:
    """The worst status of each check."""
    by_check: dict[str, list[Diagnosis]] = {}
    for each in found:
        by_check.setdefault(each.check, []).append(each)
    return {check: worst(some) for check, some in by_check.items()}


@pytest.mark.usefixtures("served")
def test_nothing_is_wrong_with_a_queue_that_is_served(server: EmbeddedRedis) -> None:
    found = examined(server.url)
    assert worst(found) in ("ok", "notice")
    assert statuses(found).keys() == SERVER | RIGHTS | QUEUE | {"commands"}
    by_check = {each.check: each for each in found}
    assert by_check["workers"].text == "1 workers serve the queue"
    assert "measured for" in by_check["commands"].text
    assert by_check["maxmemory"].remedy is not None
    assert {each.queue for each in found} == {None, "q"}


def test_a_server_that_can_lose_tasks_is_a_problem(
    server: EmbeddedRedis, configured: Any, served: Scripts
) -> None:
    configured(appendonly="no", save="", maxmemory_policy="allkeys-lru")
    used = int(served.redis.info("memory")["used_memory"])
    configured(maxmemory=str(used * 10))
    found = statuses(examined(server.url))
    assert (found["persistence"], found["eviction"]) == ("problem", "warning")
    configured(save="3600 1", maxmemory_policy="volatile-lru", maxmemory=str(used * 10))
    found = statuses(examined(server.url))
    assert (found["persistence"], found["eviction"], found["maxmemory"]) == (
        *("warning", "notice", "ok"),
    )
    configured(maxmemory_policy="noeviction", maxmemory=str(used + used // 9))
    assert statuses(examined(server.url))["maxmemory"] in ("warning", "problem")


def test_a_part_that_stands_still_is_a_problem(server: EmbeddedRedis, served: Scripts) -> None:
    redis = served.redis
    redis.sadd(key("queues"), "alone", "empty")
    Scripts(redis, "alone").enqueue(message(1))
    redis.hset(served.key("sweep"), "last", served.now() - 60_000)
    served.open("d", who=WHO.replace('"1"', '"2"'))
    served.end_lease("d")
    found = {(each.check, each.queue): each for each in examined(server.url)}
    late = found["scheduler", "q"]
    assert late.status == "problem" and "60." in late.text and "fluxqueue sched" in str(late.remedy)
    assert found["leases", "q"].status == "warning"
    assert found["workers", "q"].status == "ok"
    assert "1, 2" in found["workers", None].text
    assert found["workers", "alone"].status == "problem"
    assert found["workers", "alone"].text.endswith("in which 1 tasks wait")
    assert found["workers", "empty"].status == "notice"
    assert "no scheduler has ever" in found["scheduler", "empty"].text


def test_paused_and_dead_are_worth_a_notice(server: EmbeddedRedis, served: Scripts) -> None:
    served.claim("c", message(1))
    why = b'{"reason":"failed","error":"e"}'
    served.exchange("c", outcomes=[Outcome(field(message(1)), "dead", why, "1")])
    servers = Servers(Settings(server.url))
    pausing.pause(servers.of_queue("q"), "q")
    servers.close()
    found = statuses(examined(server.url, "q"))
    assert found["paused"] == found["dead"] == "notice"


def test_many_tombstones_are_a_warning(server: EmbeddedRedis, served: Scripts) -> None:
    ended = {f"t{number}": -served.now() for number in range(1_000)}
    served.redis.zadd(served.key("consumers"), ended)
    [tombstones] = [each for each in examined(server.url) if each.check == "tombstones"]
    assert tombstones.status == "warning" and "worker.disconnected" in str(tombstones.remedy)


def test_a_namespace_without_queues_gets_a_notice(server: EmbeddedRedis, admin: Any) -> None:
    assert admin.dbsize() == 0
    [queues] = [each for each in examined(server.url) if each.check == "queues"]
    assert "fluxqueue start" in str(queues.remedy)
    with pytest.raises(ConfigurationError, match="queue name"):
        examined(server.url, "a}b")


def test_calls_inside_of_scripts_do_not_count_as_those_of_clients(
    server: EmbeddedRedis, admin: Any, monkeypatch: Any
) -> None:
    script = "for _ = 1, 50 do redis.call('GET', 'a') end"

    def send(_: float) -> None:
        for _ in range(100):
            admin.ping()
        pipeline = admin.pipeline(transaction=False)
        for _ in range(300):
            pipeline.eval(script, 0)
        pipeline.execute()

    client = Servers(Settings(server.url))
    # Not the `sleep` of other threads.
    instead = SimpleNamespace(sleep=send, monotonic=time.monotonic)
    monkeypatch.setattr(traffic, "time", instead)
    [measured] = traffic.examine_traffic(client.of_registry(), ["q"], 1.0)
    client.close()
    least, total = (
        int(each.replace(",", "")) for each in re.findall(r"([\d,]{4,}) ", measured.text)
    )
    # 400 commands, of which the pipeline's 300 came in a few reads; and 15,000 calls.
    assert least * 15_400 / 400 == pytest.approx(total, rel=0.4)
    assert least < total / 30


@pytest.mark.parametrize(
    ("queues", "is_cluster", "looks"),
    [(1, False, 1), (16, False, 16), (17, False, 1), (250, False, 3), (250, True, 250)],
)
def test_a_scheduler_is_expected_to_ask_few_queues_each(
    queues: int, is_cluster: bool, looks: int
) -> None:
    assert traffic._of_a_scheduler(queues, is_cluster) == (looks * 20 + 3) * 3_600
    assert traffic._of_a_scheduler(0, is_cluster) == 0


def test_the_expected_commands_are_those_that_a_scheduler_sends(
    redis_url: str, redis: Any, tmp_path: Path
) -> None:
    redis.sadd(key("queues"), "q")
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.exists(key("sweep", "q")), what=scheduler.output)
        seconds = []
        with monitored(redis) as commands, redis.monitor() as monitor:
            for shown in monitor.listen():
                if shown["command"].startswith("SMEMBERS "):
                    seconds.append(shown["time"])
                if len(seconds) == 4:
                    break
        assert scheduler.stop() == 0
    # In three of its seconds, which may be longer on a busy machine.
    sent = [each for each in commands.plain if not each.startswith("INFO")]
    expected = traffic._of_a_scheduler(1, False) / 3_600 * 3
    assert expected / 3 < len(sent) < expected * 3


@pytest.mark.usefixtures("served")
def test_a_user_that_only_looks_learns_which_rights_are_missing(
    server: EmbeddedRedis, admin: Any
) -> None:
    acl.create(admin, "operator", acl.of_looking())
    url = acl.url("operator", server.url)
    found = examined(url)
    unknown = {each.check for each in found if each.status == "unknown"}
    assert unknown == SERVER - {"latency", "clock"} | RIGHTS | {"commands"}
    assert {each.remedy for each in found if each.check == "eviction"} == {"grant +info"}
    [commands] = [each for each in found if each.check == "commands"]
    assert commands.text.startswith("computed")
    # Of the one worker three exchanges and two BLMOVE in a lease of 10 s. Of a scheduler in each
    # second 20 looks for due tasks, 2 sweeps and one for the names of queues.
    assert f"{1_800 + 23 * 3_600:,} commands an hour" in commands.text
    assert statuses(found)["workers"] == statuses(found)["scheduler"] == "ok"
    # It reports its own refusals to those who may see them.
    [rights] = [e for e in examined(server.url) if e.check == "rights" and "'info'" in e.text]
    assert rights.status == "warning" and "fluxqueue-operator" in rights.text


def test_the_rights_of_the_page_are_enough_to_see_all(
    server: EmbeddedRedis, admin: Any, served: Scripts
) -> None:
    page = " ".join(acl.PAGE.split())  # a sentence goes over several lines
    more = page.split("`fluxqueue doctor` sees all with `", 1)[1].split("`", 1)[0]
    acl.create(admin, "operator", [*acl.of_looking(), *more.split()])
    served.redis.acl_log_reset()
    found = examined(acl.url("operator", server.url))
    assert [each for each in found if each.status == "unknown"] == []
    assert acl.refused(admin) == []


def test_each_master_of_a_cluster_is_examined(cluster: RedisCluster) -> None:
    names = [f"doctor-{number}" for number in range(12)]
    found = examined(cluster.url, *names)
    servers = {each.server for each in found if each.check == "version"}
    assert len(servers) == 3 and None not in servers
    assert {each.queue for each in found if each.check == "workers"} == set(names)


def run(url: str, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue", "doctor", "--seconds", "0", *words, "-r", url],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_says_it_by_its_exit_code(server: EmbeddedRedis, served: Scripts) -> None:
    code, out, _ = run(server.url)
    assert code == 0 and "right (--all)" in out
    assert "1 workers serve the queue" in run(server.url, "--all")[1]
    served.redis.hset(served.key("sweep"), "last", 1)
    code, out, _ = run(server.url)
    assert code == 1
    [line] = [line for line in out.splitlines() if line.startswith("problem")]
    assert line.split()[:3] == ["problem", "scheduler", "q:"]
    code, out, _ = run(server.url, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1 and {row["status"] for row in rows} <= {"ok", "notice", "problem"}
    code, _, said = run("redis://127.0.0.1:1")
    assert code == 3 and said.count("\n") == 1
