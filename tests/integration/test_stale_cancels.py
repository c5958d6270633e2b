"""Cancels of tasks that had ended, in a queue that was too long to look through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from support.limited import NAME, OTHER, enqueue, limited
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts, message, messages
from support.waiting import wait_until
from support.worker_process import WorkerProcess

MOST = 2_000


def id_of(of: bytes) -> bytes:
    return of[13:49]


def note(scripts: Scripts, *of: bytes) -> None:
    """Cancels the tasks of these messages, as in a queue that is too long."""
    ids: dict[Any, float] = {id_of(m): scripts.now() for m in of}
    scripts.redis.zadd(scripts.key("cancelled"), ids)


@pytest.mark.versions
def test_a_cancel_is_forgotten_if_no_key_has_the_task(scripts: Scripts) -> None:
    plain, ranked, suspect, later, held, blocked, gone = (
        message(1),
        message(2, opts='{"p":5}'),
        message(3, deliveries=2),
        message(4),
        message(5),
        message(6),
        message(7),
    )
    scripts.claim("c", held)
    scripts.enqueue(blocked)
    scripts.block("c")
    scripts.enqueue(plain)
    scripts.enqueue_ranked(message(8, opts='{"p":9}'), ranked)
    scripts.redis.lpush(scripts.key("suspects"), suspect)
    scripts.redis.zadd(scripts.key("delayed"), {later: scripts.now() + 60_000})
    living = [plain, ranked, suspect, later, held, blocked]
    note(scripts, *living, gone)
    for _ in range(2):
        scripts.trim_dead(10)
        assert scripts.cancelled() == set(map(id_of, living))


@pytest.mark.versions
@pytest.mark.parametrize("count", [MOST, MOST + 1])
def test_a_queue_that_is_too_long_is_not_looked_through(scripts: Scripts, count: int) -> None:
    scripts.enqueue(*messages(range(count), args=b"[]"))
    note(scripts, message(count))
    scripts.trim_dead(10)
    assert bool(scripts.cancelled()) == (count > MOST)


@pytest.mark.versions
def test_the_tasks_that_wait_for_a_limit_are_found(scripts: Scripts) -> None:
    tasks = [limited(number) for number in range(3)]
    others = [limited(number, key=OTHER) for number in range(3, 6)]
    enqueue(scripts, *tasks, *others)
    gone = message(7)
    note(scripts, *tasks, *others, gone)
    scripts.trim_dead(10)
    assert scripts.cancelled() == set(map(id_of, [*tasks, *others]))


@pytest.mark.versions
@pytest.mark.parametrize("in_line", [MOST // 2, MOST])
def test_a_line_that_is_too_long_is_not_looked_through(scripts: Scripts, in_line: int) -> None:
    enqueue(scripts, *(limited(number) for number in range(in_line)))
    note(scripts, message(MOST + 1))
    scripts.trim_dead(10)
    assert bool(scripts.cancelled()) == (in_line == MOST)


@pytest.mark.versions
def test_the_lines_of_too_many_keys_are_not_looked_through(scripts: Scripts) -> None:
    texts = scripts.key("limits:texts")
    scripts.redis.hset(texts, mapping={f"{NAME}{n:016x}": "" for n in range(MOST + 1)})
    note(scripts, message(1))
    scripts.trim_dead(10)
    assert scripts.cancelled() == {id_of(message(1))}


@pytest.mark.versions
def test_large_messages_are_not_looked_through(scripts: Scripts) -> None:
    of = message(1, args=b'["' + b"x" * 5_000_000 + b'"]')
    scripts.enqueue(of)
    note(scripts, message(2))
    scripts.trim_dead(10)
    assert scripts.cancelled() == {id_of(message(2))}


@pytest.mark.versions
def test_many_are_forgotten_in_several_calls(scripts: Scripts) -> None:
    scripts.enqueue(message(0))
    note(scripts, *messages(range(9_000)))
    for _ in range(3):
        scripts.trim_dead(10)
    assert scripts.cancelled() == {id_of(message(0))}


@pytest.mark.versions
def test_while_none_is_cancelled_a_trim_asks_once(scripts: Scripts) -> None:
    scripts.enqueue(message(1))
    scripts.redis.config_resetstat()
    scripts.trim_dead(10)
    stats = scripts.redis.info("commandstats")
    assert stats["cmdstat_exists"]["calls"] == 1
    assert not {"cmdstat_llen", "cmdstat_lrange"} & set(stats)


APP = """
@fluxqueue.task()
def work(name):
    note(name)
"""


def test_a_later_call_with_the_same_id_runs_once_a_scheduler_has_looked(
    client: FluxQueue, redis_url: str, scripts: Scripts, tmp_path: Path
) -> None:
    of_default = Scripts(scripts.redis, "default")

    @client.task()
    def work(name: str) -> None: ...

    work.options(delay=3_600).enqueue_many((str(n),) for n in range(MOST + 1))
    assert client.handle("order-17").cancel() == "requested"
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        # Meanwhile a worker does not begin what BLMOVE brings.
        worker.wait_for("worker.started")
        work.options(task_id="order-17").enqueue("too early")
        worker.wait_for("task.cancelled")
        assert client.handle("order-18").cancel() == "requested"
        scripts.redis.delete(of_default.key("delayed"))
        with SchedulerProcess(tmp_path, redis_url):
            wait_until(lambda: of_default.cancelled() == set())
            work.options(task_id="order-18").enqueue("again")
            wait_until(lambda: "again" in worker.notes(), what=worker.output)
        assert worker.notes() == ["again"]
        assert worker.stop() == 0
