"""The profile `metrics`: Prometheus scrapes each scheduler, and has loaded the alerts."""

from __future__ import annotations

import os
from typing import Any

from support.stack import Stack, get_json
from support.waiting import wait_until

ALERTS = {
    "FluxQueueNoScheduler",
    "FluxQueueRedisUnreachable",
    "FluxQueueNoWorkers",
    "FluxQueueBacklogOld",
    "FluxQueueTasksDie",
    "FluxQueueScheduleLate",
    "FluxQueueLeasesLost",
    "FluxQueuePaused",
}


def answer(path: str) -> Any:
    """Returns the data of an answer of Prometheus."""
    found = get_json(f"http://127.0.0.1:{os.environ['PROMETHEUS_PORT']}/api/v1/{path}")
    return found["data"]


def scraped() -> list[str]:
    """The schedulers whose metrics Prometheus has read."""
    targets = answer("targets")["activeTargets"]
    return [each["scrapeUrl"] for each in targets if each["health"] == "up"]


def test_prometheus_scrapes_both_schedulers(stack: Stack) -> None:
    assert len(stack.containers("prometheus")) == 1
    wait_until(lambda: len(scraped()) == 2, timeout=60, what=lambda: f"targets: {scraped()}")

    def workers() -> list[str]:
        found = answer("query?query=max%20by%20(queue)%20(fluxqueue_workers)")["result"]
        return [each["value"][1] for each in found]

    wait_until(lambda: workers() == ["2"], timeout=60, what=lambda: f"workers: {workers()}")


def test_prometheus_has_the_alerts(stack: Stack) -> None:
    def rules() -> dict[str, str]:
        groups = answer("rules")["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    wanted = dict.fromkeys(ALERTS, "ok")
    wait_until(lambda: rules() == wanted, timeout=60, what=lambda: f"alerts: {rules()}")
