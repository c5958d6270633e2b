"""`fluxqueue cancel` in a separate process, with a real worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from fluxqueue import FluxQueue
from fluxqueue.task import Task
from fluxqueue_control import audit, candidates, job_steps
from fluxqueue_control.commands import cancel
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, dead_reason
from support.scripts import DAY, Outcome, Scripts, field, message, messages
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task(queue="slow")
def sleeping(name):
    note(f"began {name}")
    while True:
        time.sleep(0.05)
"""


def run(redis_url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fluxqueue", "cancel", "-r", redis_url, *words],
        capture_output=True,
        text=True,
        check=False,
    )


def sleeping(redis_url: str, namespace: str = "") -> Task[[str], None]:
    """The task of the application, as a client has it."""

    def function(name: str) -> None: ...

    return FluxQueue(redis_url, namespace=namespace).task(name="sleeping", queue="slow")(function)


def test_a_running_task_is_stopped_and_a_waiting_one_never_begins(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    task, of_slow = sleeping(redis_url), Scripts(scripts.redis, "slow")
    with WorkerProcess(tmp_path, redis_url, APP, queue="slow", concurrency=1) as worker:
        running = task.enqueue("one")
        wait_until(lambda: worker.notes() == ["began one"], what=worker.output)
        waiting = task.options(task_id="order 17").enqueue("two")
        done = run(redis_url, "-q", "slow", running.id.upper(), "order 17")
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert lines[0] == f"{running.id} requested"
        # The worker may hold the second one already.
        assert lines[1] in {f"{waiting.id} {word} order 17" for word in ("cancelled", "requested")}
        wait_until(lambda: of_slow.stats() == {"cancelled": 2}, what=worker.output)
        assert worker.notes() == ["began one"]
        assert worker.stop() == 0


def test_a_task_that_the_queue_does_not_have_is_exit_code_1(redis_url: str) -> None:
    handle = sleeping(redis_url).enqueue("one")
    # The wrong queue.
    done = run(redis_url, handle.id)
    assert (done.returncode, done.stdout) == (1, f"{handle.id} already_done\n")
    assert done.stderr.startswith("fluxqueue cancel: queue 'default' does not have 1 of 1 tasks")
    assert "(-q)" in done.stderr
    # The right one: the other task is cancelled nevertheless.
    done = run(redis_url, "--queue", "slow", "unknown", handle.id)
    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["already_done", "cancelled"]


def test_json_is_one_object_per_line(redis_url: str) -> None:
    handle = sleeping(redis_url).options(task_id="order 17").enqueue("one")
    done = run(redis_url, "-q", "slow", "--json", "order 17", handle.id)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"task_id": handle.id, "queue": "slow", "answer": "cancelled", "given": given}
        for given in ("order 17", handle.id)
    ]
    assert done.returncode == 0


def test_a_dry_run_looks_for_tasks_and_cancels_none(scripts: Scripts, redis_url: str) -> None:
    ended, slow = message(1), Scripts(scripts.redis, "slow")
    slow.claim("c", ended)
    slow.exchange("c", outcomes=[Outcome(field(ended), "dead", dead_reason("failed", "x"), "1")])
    before = slow.stats()
    waits = sleeping(redis_url).enqueue("one")
    dead = ended[13:49].decode()
    done = run(redis_url, "-q", "slow", "--dry-run", waits.id, "none", dead)
    assert done.returncode == 1 and "does not have 2 of 3 tasks" in done.stderr
    answers = [line.split()[1] for line in done.stdout.splitlines()]
    assert answers == ["dry_run", "already_done", "already_done"]
    assert not slow.redis.exists(slow.key("cancelled")) and slow.stats() == before


@pytest.fixture
def acme(scripts: Scripts) -> Scripts:
    """A queue in which one of two tasks in each state has a header."""
    plain = messages(range(1, 7))
    known = [raw[:-1] + b',"headers":{"tenant":"acme"}}' for raw in plain[::2]]
    running, delayed, waiting = zip(known, plain[1::2], strict=True)
    scripts.claim("c", *running)
    scripts.enqueue(*waiting)
    scripts.redis.zadd(scripts.key("delayed"), dict.fromkeys(delayed, scripts.now() + DAY))
    return scripts


def chosen(redis_url: str, *words: str, code: int = 0) -> list[Any]:
    done = run(redis_url, "-q", "q", "--json", *words)
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_all_tasks_that_are_chosen_are_cancelled_as_jobs(acme: Scripts, redis_url: str) -> None:
    header = ["--header", "tenant=acme"]
    dry = chosen(redis_url, *header, "--dry-run")
    assert [(job["part"], job["outcome"]) for job in dry] == [
        (part, {"chosen": 1}) for part in ("delayed", "waiting", "running")
    ]
    assert not acme.redis.exists(acme.key("cancelled"))
    done = chosen(redis_url, *header, "--rate", "1000")
    assert [(job["verb"], job["part"], job["outcome"], job["rate"]) for job in done] == [
        ("cancel", part, {"done": 1}, 1000.0) for part in ("delayed", "waiting", "running")
    ]
    left = [*acme.redis.zrange(acme.key("delayed"), 0, -1), *acme.list("pending")]
    assert left == [message(4), message(6)]
    asked = acme.redis.zrange(acme.key("cancelled"), 0, -1)
    assert asked == [message(1)[13:49]]
    assert acme.stats() == {"cancelled": 2}
    # The second time there is nothing to do, but that the worker has not ended the third one yet.
    again = chosen(redis_url, *header, "--state", "delayed", "--state", "waiting")
    assert [(job["part"], job["outcome"]) for job in again] == [("delayed", {}), ("waiting", {})]


def test_a_limit_counts_the_tasks_of_all_states(acme: Scripts, redis_url: str) -> None:
    done = chosen(redis_url, "--all", "--limit", "3")
    assert [(job["part"], job["outcome"]) for job in done] == [
        ("delayed", {"done": 2}),
        ("waiting", {"done": 1}),
    ]
    assert len(acme.list("pending")) == 1


def test_a_cancel_that_a_worker_will_perform_has_succeeded(
    scripts: Scripts, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for module in (candidates, job_steps):
        monkeypatch.setattr(module, "REACH", 110)
    scripts.enqueue(*messages(range(1, 41)))
    code = cancel.main(["-r", redis_url, "-q", "q", "--all", "--state", "waiting"])
    assert code == 0 and "20 done, 20 requested" in capsys.readouterr().out
    assert scripts.redis.zcard(scripts.key("cancelled")) == len(scripts.list("pending")) == 20


def test_a_namespace_has_its_own_tasks(redis_url: str) -> None:
    handle = sleeping(redis_url, "shop").enqueue("one")
    assert run(redis_url, "-q", "slow", handle.id).returncode == 1
    done = run(redis_url, "-q", "slow", "--namespace", "shop", handle.id)
    assert (done.returncode, done.stdout) == (0, f"{handle.id} cancelled\n")


def test_a_refusal_of_redis_is_one_line_and_exit_code_3(
    redis: redis_py.Redis, redis_url: str
) -> None:
    handle = sleeping(redis_url).enqueue("one")
    redis.delete("fluxqueue:{slow}:pending")
    redis.set("fluxqueue:{slow}:pending", "text")
    done = run(redis_url, "-q", "slow", handle.id, "second")
    redis.delete("fluxqueue:{slow}:pending")
    assert (done.returncode, done.stdout) == (3, "")
    assert "WRONGTYPE" in done.stderr and done.stderr.count("\n") == 1


def test_the_audit_says_who_has_cancelled(redis: redis_py.Redis, redis_url: str) -> None:
    handle = sleeping(redis_url).enqueue("one")
    assert run(redis_url, "-q", "slow", "--actor", "ann", handle.id, "gone").returncode == 1
    client = RedisClient(Settings(redis_url), 5.0)
    entries = audit.read_page(client, "slow").entries
    client.close()
    assert [(each.who, each.what, each.on) for each in entries][-1] == ("ann", "cancel", handle.id)
    assert [each.outcome for each in entries] == [{"already_done": 1}, {"cancelled": 1}]
