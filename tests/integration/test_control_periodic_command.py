"""`fluxqueue periodic` in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until

QUEUE = "default"


@pytest.fixture
def app(redis_url: str, redis: Any) -> Any:
    redis.sadd(key("queues"), QUEUE, "other")
    app = FluxQueue(redis_url)

    @app.task()
    def work() -> None: ...

    app.schedule("a", work.call(), every=300)
    app.schedule("b c", work.call(), "0 9 * * MON", tz="Asia/Tokyo", overlap="skip")
    app.schedule("d", work.options(queue="other").call(), every=3_600)
    yield app
    app.close()


def run(redis_url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fluxqueue", "periodic", *words, "-r", redis_url],
        capture_output=True,
        text=True,
        check=False,
    )


def answers(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_list_has_each_periodic_task_with_its_next_and_last_run(
    app: FluxQueue, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    with SchedulerProcess(tmp_path, redis_url) as scheduler:

        def planned() -> bool:
            keys = [key("periodic:due", queue) for queue in (QUEUE, "other")]
            scores = [s for name in keys for _, s in redis.zrange(name, 0, -1, withscores=True)]
            return all(score == int(score) for score in scores)

        wait_until(planned, what=scheduler.output)
    assert run(redis_url, "pause", "b c").returncode == 0
    assert run(redis_url, "run-now", "a").returncode == 0
    done = run(redis_url, "list")
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = [line.split() for line in done.stdout.splitlines()]
    assert head == ["QUEUE", "ID", "STATE", "NEXT", "LAST", "TASK", "WHEN"]
    assert [line[:2] for line in lines] == [[QUEUE, "a"], [QUEUE, "b"], ["other", "d"]]
    assert lines[0][2] == "active" and lines[0][-3:] == ["every", "5", "min"]
    assert lines[1][3:] == ["paused", "-", "-", "work", *["0", "9", "*", "*", "MON", "Asia/Tokyo"]]
    moment = redis.zscore(key("periodic:due", QUEUE), "a")
    [of_a, of_b] = sorted(answers(run(redis_url, "list", "--json", "-q", QUEUE)), key=str)[:2]
    assert (of_a["id"], of_a["next"], of_a["every"]) == ("a", moment / 1_000, 300.0)
    assert (of_a["last"]["kind"], of_a["overlap"]) == ("by hand", "allow")
    assert (of_b["cron"], of_b["tz"], of_b["state"]) == ("0 9 * * MON", "Asia/Tokyo", "paused")
    assert (of_b["last"], of_b["next"], of_b["overlap"]) == (None, None, "skip")


def test_a_list_without_any_is_empty(redis_url: str) -> None:
    done = run(redis_url, "list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pause_resume_and_remove(app: FluxQueue, redis: Any, redis_url: str) -> None:
    done = run(redis_url, "pause", "a", "b c")
    assert (done.returncode, done.stdout) == (0, "a paused\nb c paused\n")
    assert redis.zcard(key("periodic:due", QUEUE)) == 0
    done = run(redis_url, "resume", "b c", "--json")
    assert answers(done) == [{"queue": QUEUE, "id": "b c", "answer": "resumed"}]
    assert redis.zrange(key("periodic:due", QUEUE), 0, -1) == [b"b c"]
    done = run(redis_url, "remove", "nonsense", "a")
    assert (done.returncode, done.stdout) == (1, "nonsense absent\na removed\n")
    assert "'nonsense' is not a periodic task of this queue (-q)" in done.stderr
    assert redis.hkeys(key("periodic", QUEUE)) == [b"b c"]


def test_a_declared_periodic_task_is_not_removed(redis: Any, redis_url: str) -> None:
    app = FluxQueue(redis_url)

    @app.periodic(every=300)
    @app.task()
    def work() -> None: ...

    [declared] = work.periodic
    arguments = [b"declare", b"60000", *declared.scheduled(declared=True)]
    assert app.broker.producer.schedule(QUEUE, arguments) == ["added"]
    app.close()
    done = run(redis_url, "remove", "work")
    assert (done.returncode, done.stdout) == (1, "work declared\n")
    assert "pause it" in done.stderr and done.stderr.count("\n") == 1
    assert redis.hexists(key("periodic", QUEUE), "work")


def test_a_run_now_is_in_the_queue_and_in_the_history(
    app: FluxQueue, redis: Any, redis_url: str
) -> None:
    [answer] = answers(run(redis_url, "run-now", "b c", "--json"))
    [waiting] = redis.lrange(key("pending", QUEUE), 0, -1)
    assert (answer["answer"], answer["task_id"]) == ("enqueued", waiting[13:49].decode())
    done = run(redis_url, "run-now", "b c")
    assert (done.returncode, done.stdout) == (1, "b c in_progress\n")
    assert "has not ended" in done.stderr
    found = answers(run(redis_url, "history", "b c", "--json"))
    assert [run["kind"] for run in found] == ["skipped", "by hand"]
    done = run(redis_url, "history", "b c")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["KIND", "skipped", "by"]
    done = run(redis_url, "history", "nonsense")
    assert (done.returncode, done.stdout) == (1, "")


def test_a_queue_and_a_namespace_have_their_own(app: FluxQueue, redis_url: str) -> None:
    assert run(redis_url, "pause", "d").returncode == 1
    assert run(redis_url, "pause", "d", "-q", "other").returncode == 0
    assert run(redis_url, "pause", "d", "-q", "other", "--namespace", "shop").returncode == 1
    assert run(redis_url, "list", "--namespace", "shop").stdout == ""


@pytest.mark.parametrize(
    "words", [["pause"], ["nonsense"], [], ["list", "-q", "a}b"], ["list", "-q", ""]]
)
def test_a_wrong_use_is_exit_code_2_and_one_line(redis_url: str, words: list[str]) -> None:
    done = run(redis_url, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fluxqueue periodic") and done.stderr.count("\n") == 1


def test_a_refusal_of_redis_is_one_line_and_exit_code_3(redis: Any, redis_url: str) -> None:
    redis.set(key("periodic", QUEUE), "text")
    done = run(redis_url, "pause", "a")
    redis.delete(key("periodic", QUEUE))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(
        "fluxqueue periodic: Redis refused the script schedule: WRONGTYPE Operation against a"
    )
    assert done.stderr.endswith("; another program uses a key of this queue\n")
    assert "script:" not in done.stderr and done.stderr.count("\n") == 1
    done = run("redis://127.0.0.1:1", "list")
    assert done.returncode == 3 and done.stderr.count("\n") == 1


def test_garbage_of_another_program_is_answered_in_one_line(
    app: FluxQueue, redis: Any, redis_url: str
) -> None:
    redis.hset(key("periodic", QUEUE), "a", "garbage")
    redis.hset(key("periodic:runs", QUEUE), "a", "x y:z 1000:0:? 999999999999999:0:r 5000:20:r")
    redis.zadd(key("periodic:due", QUEUE), {"a": "inf", "b c": 1e300})
    shown = run(redis_url, "list", "-q", QUEUE, "--json")
    a, b = sorted(answers(shown), key=lambda answer: answer["id"])
    assert (shown.returncode, shown.stderr) == (0, "")
    assert (a["state"], a["next"], b["state"], b["next"]) == ("unreadable", None, "active", None)
    [past] = answers(run(redis_url, "history", "a", "--json"))
    assert (past["moment"], past["late"], past["kind"]) == (5.0, 0.02, "run")
    done = run(redis_url, "run-now", "a")
    assert (done.returncode, done.stdout) == (1, "a unreadable\n")
    assert done.stderr.count("\n") == 1 and "another program" in done.stderr
    assert redis.llen(key("pending", QUEUE)) == 0


@pytest.mark.parametrize("verb", ["history", "pause", "run-now"])
def test_an_id_that_is_not_text_is_a_wrong_option(redis_url: str, verb: str) -> None:
    done = run(redis_url, verb, "\udcff")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "is not valid UTF-8" in done.stderr
