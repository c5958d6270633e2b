"""Metrics of the queues for Prometheus, read from Redis when they are asked for.

Why: docs/decisions/0192-the-scheduler-exports-what-redis-knows.md
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from fluxqueue_control import stats
from fluxqueue_control.errors import UNAVAILABLE
from redis.exceptions import ResponseError

from .death_counts import DeathCounts
from .prometheus_text import CONTENT_TYPE, Family, write
from .queue_numbers import QueueNumbers, read
from .shard import Reader

# Queues of one server, and names of tasks of one queue, that have samples.
MOST_QUEUES = 500
MOST_TASKS = 100
STATES = ("pending", "suspects", "delayed", "claimed", "dead")


class Exporter:
    """Reads and writes the metrics. Every scheduler exports the same values, except for the deaths
    by reason: use one of them, or the largest, not the sum.

    Args:
        readers: the servers that can be read.
        namespace: '' for the default one.
    """

    def __init__(self, readers: Callable[[], Iterable[Reader]], namespace: str = "") -> None:
        self._readers = readers
        self._common = {"namespace": namespace} if namespace else {}
        self._lock = threading.Lock()
        self._deaths = DeathCounts()

    def page(self) -> tuple[str, bytes]:
        """Returns the content type and the text. Asks the workers to count until it is called
        again."""
        with self._lock:
            return CONTENT_TYPE, write(self._families())

    def _families(self) -> list[Family]:
        found: dict[str, QueueNumbers] = {}
        left_out = failed = 0
        for reader in self._readers():
            names = reader.queues.names[:MOST_QUEUES]
            left_out += len(reader.queues.names) - len(names)
            with reader.lock:
                try:
                    found |= read(reader.client, names)
                    self._deaths.look(reader.client, names)
                    # Last: a user without the right to it still gets the other values.
                    stats.watch(reader.client, names)
                except ResponseError:
                    continue
                except UNAVAILABLE:
                    failed += 1
        up = Family("fluxqueue_redis_unreachable", "gauge", "Servers that could not be read.")
        up.add(self._common, failed)
        left = Family(
            "fluxqueue_queues_left_out", "gauge", "Queues beyond the bound, not exported."
        )
        left.add(self._common, left_out)
        labelled = {queue: {**self._common, "queue": queue} for queue in found}
        return [
            up,
            left,
            *_backlog(found, labelled),
            *_ends(found, labelled),
            self._by_reason(labelled),
            *_counted(found, labelled),
        ]

    def _by_reason(self, labelled: Mapping[str, dict[str, str]]) -> Family:
        family = Family(
            "fluxqueue_deaths_total", "counter", "Tasks that died, since this scheduler counts."
        )
        for queue, labels in labelled.items():
            for reason, count in sorted(self._deaths.counts[queue].items()):
                family.add({**labels, "reason": reason}, count)
        return family


def _backlog(
    found: Mapping[str, QueueNumbers], labelled: Mapping[str, dict[str, str]]
) -> list[Family]:
    tasks = Family("fluxqueue_tasks", "gauge", "Tasks by state.")
    oldest = Family(
        "fluxqueue_oldest_task_age_seconds", "gauge", "How long the oldest waiting task has waited."
    )
    limited = Family("fluxqueue_limit_waiting_tasks", "gauge", "Tasks that wait for their limit.")
    lag = Family(
        "fluxqueue_schedule_lag_seconds", "gauge", "How late the next delayed or periodic task is."
    )
    workers = Family("fluxqueue_workers", "gauge", "Worker processes that serve the queue.")
    paused = Family("fluxqueue_queue_paused", "gauge", "1 if the queue is paused.")
    for queue, numbers in found.items():
        labels = labelled[queue]
        for state in STATES:
            tasks.add({**labels, "state": state}, getattr(numbers.lengths, state))
        oldest.add(labels, numbers.oldest or 0.0)
        limited.add(labels, numbers.in_line)
        lag.add(labels, numbers.lag)
        workers.add(labels, numbers.workers)
        paused.add(labels, int(numbers.is_paused))
    return [tasks, oldest, limited, lag, workers, paused]


def _ends(
    found: Mapping[str, QueueNumbers], labelled: Mapping[str, dict[str, str]]
) -> list[Family]:
    outcomes = Family("fluxqueue_outcomes_total", "counter", "Outcomes of tasks, counted exactly.")
    lost = Family("fluxqueue_leases_lost_total", "counter", "Workers that lost their lease.")
    for queue, numbers in found.items():
        for outcome, count in numbers.ends.items():
            outcomes.add({**labelled[queue], "outcome": outcome}, count)
        lost.add(labelled[queue], numbers.leases_lost)
    return [outcomes, lost]


def _counted(
    found: Mapping[str, QueueNumbers], labelled: Mapping[str, dict[str, str]]
) -> list[Family]:
    wait = Family(
        "fluxqueue_wait_seconds",
        "histogram",
        "From the call, or the due time, to the first attempt.",
    )
    run = Family("fluxqueue_run_seconds", "histogram", "How long attempts took.")
    attempts = Family("fluxqueue_task_attempts_total", "counter", "Attempts by task and outcome.")
    ran = Family("fluxqueue_task_run_seconds_total", "counter", "How long attempts took, by task.")
    for queue, numbers in found.items():
        labels, counted = labelled[queue], numbers.counted
        wait.add_histogram(labels, counted.wait)
        run.add_histogram(labels, counted.run)
        for name in sorted(counted.tasks)[:MOST_TASKS]:
            ends, of_task = counted.tasks[name], {**labels, "task": name}
            for outcome in ("succeeded", "retried", "dead"):
                attempts.add({**of_task, "outcome": outcome}, getattr(ends, outcome))
            ran.add(of_task, ends.ran)
    return [wait, run, attempts, ran]
