"""The alert rules and the dashboard, on a real Prometheus that scrapes a real scheduler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from support.ports import free_port
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/alerts.yml"
DASHBOARD = json.loads((DEPLOY / "grafana/fluxqueue.json").read_text())
EXPRESSIONS = [
    (f"{panel['title']} {target['refId']}", target["expr"])
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
APP = """
@fluxqueue.task(retry_delay=0, max_retries=1)
def work(number):
    if number % 2:
        raise ValueError(number)
"""

if not shutil.which("promtool") and os.environ.get("CI") != "true":
    pytest.skip("Prometheus is not installed", allow_module_level=True)


def promtool(*words: str | Path) -> str:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    assert f"{RULES.read_text().count('- alert:')} rules found" in promtool("check", "rules", RULES)
    promtool("check", "config", DEPLOY / "prometheus/prometheus.yml")


# Series of samples, one a minute, and the alerts that are on after 15 minutes.
CASES = {
    "nothing is exported": ({"up": "1x15"}, ["FluxQueueNoScheduler"]),
    "all is well": ({"fluxqueue_redis_unreachable": "0x15"}, []),
    "Redis is down": ({"fluxqueue_redis_unreachable": "1x15"}, ["FluxQueueRedisUnreachable"]),
    "tasks wait for a worker": (
        {
            'fluxqueue_tasks{queue="q",state="pending"}': "5x15",
            'fluxqueue_workers{queue="q"}': "0x15",
        },
        ["FluxQueueNoWorkers"],
    ),
    "a worker serves": (
        {
            'fluxqueue_tasks{queue="q",state="pending"}': "5x15",
            'fluxqueue_workers{queue="q"}': "1x15",
        },
        [],
    ),
    "the backlog ages": (
        {
            'fluxqueue_oldest_task_age_seconds{queue="q"}': "400x15",
            'fluxqueue_queue_paused{queue="q"}': "0x15",
        },
        ["FluxQueueBacklogOld"],
    ),
    "a paused queue ages": (
        {
            'fluxqueue_oldest_task_age_seconds{queue="q"}': "400x15",
            'fluxqueue_queue_paused{queue="q"}': "1x15",
        },
        [],
    ),
    "tasks die": (
        {'fluxqueue_deaths_total{queue="q",reason="failed"}': "0+1x15"},
        ["FluxQueueTasksDie"],
    ),
    "the schedule is late": (
        {'fluxqueue_schedule_lag_seconds{queue="q"}': "60x15"},
        ["FluxQueueScheduleLate"],
    ),
    "workers are lost": (
        {'fluxqueue_leases_lost_total{queue="q"}': "0+1x15"},
        ["FluxQueueLeasesLost"],
    ),
    "a queue stays paused": ({'fluxqueue_queue_paused{queue="q"}': "1x75"}, []),
    "a queue is paused for half an hour": (
        {'fluxqueue_queue_paused{queue="q"}': "1x30 0x44"},
        [],
    ),
}
# The cases that go on, and the alerts that are on after 75 minutes.
LATER = {
    "a queue stays paused": ["FluxQueuePaused"],
    "a queue is paused for half an hour": [],
}


def test_each_alert_is_on_when_it_should_be(tmp_path: Path) -> None:
    names = [line.split()[-1] for line in RULES.read_text().splitlines() if "- alert:" in line]
    tests = []
    for case, (series, expected) in CASES.items():
        given = {"fluxqueue_redis_unreachable": "0x75", **series}
        if case == "nothing is exported":
            given = series
        moments = {"15m": expected}
        if case in LATER:
            moments["75m"] = LATER[case]
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": v} for name, v in given.items()],
                # The count of each alert that is on, so that labels need not be repeated.
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                        "eval_time": moment,
                        "exp_samples": [{"value": 1, "labels": "{}"}] if name in on else [],
                    }
                    for moment, on in moments.items()
                    for name in names
                ],
            }
        )
    file = tmp_path / "tests.yml"
    # JSON is YAML.
    file.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})
    )
    assert "SUCCESS" in promtool("test", "rules", file)
    tested = {name for _, expected in CASES.values() for name in expected}
    assert tested.union(*LATER.values()) == set(names)


class Prometheus:
    """A server that scrapes one port twice a second."""

    def __init__(self, folder: Path, scraped: int) -> None:
        self.port = free_port()
        config = folder / "prometheus.json"
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
                    "rule_files": [str(RULES)],
                    "scrape_configs": [
                        {
                            "job_name": "scheduler",
                            "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}],
                        }
                    ],
                }
            )
        )
        self.log = (folder / "prometheus.log").open("w")
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{query}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return []  # it starts
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
        except OSError:
            return []  # it starts
        assert said["status"] == "success", said
        found: list[dict[str, Any]] = said["data"]["result"]
        return found

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def prometheus(redis_url: str, tmp_path: Path) -> Iterator[Prometheus]:
    """One that has scraped a scheduler while tasks ran, failed and died."""
    port = free_port()
    queue = FluxQueue(redis_url)

    @queue.task(retry_delay=0, max_retries=1)
    def work(number: int) -> None: ...

    with (
        SchedulerProcess(tmp_path, redis_url, lease=1, health_port=port, exporter=True),
        WorkerProcess(tmp_path, redis_url, APP, lease=1),
    ):
        server = Prometheus(tmp_path, port)
        try:
            done = iter(range(100_000))
            counters = (
                'fluxqueue_deaths_total{reason="failed"}',
                'fluxqueue_task_attempts_total{task="work",outcome="succeeded"}',
                "fluxqueue_wait_seconds_count",
            )

            def has_all() -> bool:
                work(next(done))
                return all(server.query(f"rate({name}[1m]) > 0") for name in counters)

            wait_until(has_all, what=lambda: (tmp_path / "prometheus.log").read_text()[-500:])
            yield server
        finally:
            server.stop()
            queue.close()


def test_each_query_of_the_dashboard_and_each_rule_has_a_result(prometheus: Prometheus) -> None:
    """In one test, because Prometheus takes seconds to begin."""
    for panel, expression in EXPRESSIONS:
        asked = expression.replace("$queue", ".*").replace("$__rate_interval", "1m")
        assert "$" not in asked
        found = prometheus.query(asked)
        assert found, f"{panel}: {asked}"
        assert all(float(sample["value"][1]) >= 0 for sample in found), f"{panel}: {found}"
    wait_until(lambda: prometheus.query('ALERTS{alertname="FluxQueueTasksDie"}') != [])
    assert prometheus.query('ALERTS{alertname="FluxQueueNoScheduler"}') == []
