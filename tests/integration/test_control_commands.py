"""The commands of an operator in a separate process, on a real Redis."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fluxqueue.cli import main
from fluxqueue_core import dead_reason, key
from fluxqueue_core.task_ids import read_task_id
from support.operator_commands import crowd, objects, run, task_id
from support.scripts import DELICATE, Outcome, Scripts, field, message

COMMANDS = ("queues", "workers", "task", "dead", "purge", "pause", "resume")


@pytest.fixture
def crowded(scripts: Scripts) -> Scripts:
    return crowd(scripts)


@pytest.mark.usefixtures("crowded")
def test_the_queues_and_their_workers(redis_url: str) -> None:
    assert objects(redis_url, "queues") == [
        {
            "queue": "q",
            "pending": 1,
            "suspects": 0,
            "delayed": 1,
            "claimed": 1,
            "dead": 3,
            "paused": False,
        }
    ]
    out, _ = run(redis_url, "queues")
    head, line = out.splitlines()
    assert head.split() == ["QUEUE", "PENDING", "SUSPECTS", "DELAYED", "CLAIMED", "DEAD", "PAUSED"]
    assert line.split() == ["q", "1", "0", "1", "1", "3", "-"]
    [worker] = objects(redis_url, "workers")
    assert (worker["queue"], worker["consumer"], worker["claimed"]) == ("q", "c", 1)
    assert worker["identity"]["host"] == "h" and worker["state"] == "alive"
    out, _ = run(redis_url, "workers")
    assert out.splitlines()[1].split()[:7] == ["q", "h", "7", "1", "2", "1", "alive"]


def test_a_queue_is_paused_and_resumed(redis: Any, redis_url: str) -> None:
    assert run(redis_url, "pause", "q")[0] == "q paused\n"
    assert run(redis_url, "pause", "q")[0] == "q was paused already\n"
    assert redis.exists(key("paused", "q"))
    [row] = objects(redis_url, "queues", "q")
    assert row["paused"]
    resumed = objects(redis_url, "resume", "q", "r")
    assert resumed == [
        {"queue": "q", "paused": False, "changed": True},
        {"queue": "r", "paused": False, "changed": False},
    ]
    assert "queue name" in run(redis_url, "pause", "q", "a}b", code=2)[1]
    assert not redis.exists(key("paused", "q"))


@pytest.mark.usefixtures("crowded")
def test_a_task_is_shown_wherever_it_is(redis_url: str) -> None:
    states = {1: "dead", 4: "claimed", 5: "pending", 6: "delayed"}
    for number, state in states.items():
        [task] = objects(redis_url, "task", task_id(number).upper())
        assert (task["task_id"], task["queue"], task["state"]) == (task_id(number), "q", state)
        assert (task["name"], task["args"]) == ("n", json.loads(DELICATE))
    [dead] = objects(redis_url, "task", task_id(1), "-q", "q")
    assert (dead["reason"], dead["error"], dead["failures"]) == ("failed", "KeyError: 'a'", 3)
    [running] = objects(redis_url, "task", task_id(4))
    assert running["worker"]["pid"] == 7 and running["lease"] == "alive"
    out, _ = run(redis_url, "task", task_id(6))
    assert "due        in 24 h" in out
    run(redis_url, "pause", "q")
    assert "paused     true" in run(redis_url, "task", task_id(5))[0]


def test_without_a_known_queue_the_task_needs_its_name(redis_url: str) -> None:
    _, said = run(redis_url, "task", task_id(99), code=1)
    assert "no worker has served a queue here; name the queue (-q)" in said


@pytest.mark.usefixtures("crowded")
def test_a_task_that_no_queue_has_is_exit_code_1(redis_url: str) -> None:
    out, said = run(redis_url, "task", task_id(99), code=1)
    assert out == "" and "is not in queue 'q'" in said and said.count("\n") == 1
    assert (
        f"task {read_task_id('order 7')} (order 7) is not in queue"
        in (run(redis_url, "task", "order 7", code=1)[1])
    )
    assert "task_id has 257 characters" in run(redis_url, "task", "x" * 257, code=2)[1]


def test_a_task_is_found_by_the_text_that_its_call_gave_it(
    scripts: Scripts, redis_url: str
) -> None:
    text = "order-17"
    raw = message(1).replace(task_id(1).encode(), read_task_id(text).encode())
    scripts.redis.sadd(key("queues"), "q")
    scripts.enqueue(raw)
    [shown] = objects(redis_url, "task", text)
    assert (shown["task_id"], shown["state"]) == (read_task_id(text), "pending")
    scripts.open("c")
    assert scripts.exchange("c", 1).claimed == [raw]
    why = dead_reason("failed", "e")
    scripts.exchange("c", outcomes=[Outcome(field(raw), "dead", why, "1")])
    for name in (text, read_task_id(text).upper(), field(raw).decode()):
        [shown] = objects(redis_url, "dead", "show", "-q", "q", name)
        assert shown["task_id"] == read_task_id(text)
    assert run(redis_url, "dead", "replay", "-q", "q", text)[0].endswith(" requeued\n")
    _, said = run(redis_url, "dead", "delete", "-q", "q", text, "x" * 257, code=1)
    assert said.count("does not have") == 2 and f"does not have '{text}'" in said


def test_a_task_is_deleted_or_runs_now(crowded: Scripts, redis_url: str) -> None:
    assert run(redis_url, "task", task_id(5), "--delete")[0] == f"{task_id(5)} deleted\n"
    out, said = run(redis_url, "task", task_id(4), "--delete", code=1)
    assert out == f"{task_id(4)} running\n"
    assert f"fluxqueue cancel -q q {task_id(4)}" in said
    [moved] = objects(redis_url, "task", task_id(6), "--run-now")
    assert moved == {"task_id": task_id(6), "queue": "q", "answer": "moved"}
    assert crowded.list("pending") == [message(6)]
    assert run(redis_url, "task", task_id(6), "--run-now", code=1)[0].endswith("not_delayed\n")


def test_one_task_is_moved_once(crowded: Scripts, redis_url: str) -> None:
    move = ("task", task_id(5), "--move", "other")
    out, said = run(redis_url, *move)
    assert out == f"{task_id(5)} moved\n" and "'other' is new" in said
    crowded.redis.sadd(key("queues"), "other")
    [again] = objects(redis_url, *move)
    assert again == {
        "task_id": task_id(5), "queue": "other", "target": "other", "answer": "unchanged"
    }  # fmt: skip
    assert len(Scripts(crowded.redis, "other").delayed()) == 1
    assert "a worker has it" in run(redis_url, "task", task_id(4), "--move", "other", code=1)[1]
    _, said = run(redis_url, *move, "--delete", code=2)
    assert "not allowed" in said
    kept = message(20, opts='{"r":60000}')
    crowded.enqueue(kept)
    _, said = run(redis_url, "task", task_id(20), "--move", "other", code=1)
    assert "stays in queue 'q'" in said and "its result" in said


@pytest.mark.usefixtures("crowded")
def test_dead_tasks_are_listed_the_youngest_first(redis_url: str) -> None:
    listed = objects(redis_url, "dead", "list", "-q", "q")
    assert [one["task_id"] for one in listed] == [task_id(3), task_id(2), task_id(1)]
    assert listed[0]["name"] == "other" and listed[0]["error"] == "KeyError: 'a'"
    rejected = objects(redis_url, "dead", "list", "-q", "q", "--reason", "rejected")
    assert [one["task_id"] for one in rejected] == [task_id(2)]
    assert len(objects(redis_url, "dead", "list", "-q", "q", "--limit", "2")) == 2
    out, _ = run(redis_url, "dead", "list", "-q", "q", "--task", "other")
    head, line = out.splitlines()
    assert head.split() == ["ID", "DIED", "TASK", "REASON", "ERROR"]
    assert line.startswith(task_id(3)) and "other" in line and line.endswith("KeyError: 'a'")
    assert run(redis_url, "dead", "list")[0] == ""


@pytest.mark.usefixtures("crowded")
def test_a_dead_task_is_shown_whole(redis_url: str) -> None:
    [shown] = objects(redis_url, "dead", "show", "-q", "q", task_id(1))
    assert shown["message"] == message(1, retries=3).decode()
    assert shown["traceback"] == "Traceback\n  line"
    out, _ = run(redis_url, "dead", "show", "-q", "q", field(message(2)).decode())
    assert f"task_id    {task_id(2)}" in out and "reason     rejected" in out
    _, said = run(redis_url, "dead", "show", "-q", "q", task_id(99), code=1)
    assert "does not have" in said


def test_dead_tasks_are_replayed(crowded: Scripts, redis_url: str) -> None:
    dry = run(redis_url, "dead", "replay", "-q", "q", "--reason", "failed", "--dry-run")[0]
    assert dry.splitlines() == [task_id(3), task_id(1)] and len(crowded.dead()) == 3
    out, _ = run(redis_url, "dead", "replay", "-q", "q", task_id(1))
    assert out == f"{task_id(1)} requeued\n"
    assert crowded.list("pending") == [message(5), message(1, requeues=1)]
    _, said = run(redis_url, "dead", "replay", "-q", "q", task_id(1), code=1)
    assert said.count("\n") == 1 and "it was replayed or deleted" in said
    rest = objects(redis_url, "dead", "replay", "-q", "q", "--all", "--rate", "1000")
    assert {(one["task_id"], one["answer"]) for one in rest} == {
        (task_id(2), "requeued"),
        (task_id(3), "requeued"),
    }
    assert crowded.dead() == {}


def test_named_tasks_are_changed_up_to_the_limit(crowded: Scripts, redis_url: str) -> None:
    names = [task_id(n) for n in (1, 2, 3)]
    choice = ("-q", "q", *names, "--limit", "2")
    dry = run(redis_url, "dead", "delete", *choice, "--dry-run")[0]
    assert dry.split() == names[:2]
    done = objects(redis_url, "dead", "replay", *choice, "--rate", "1000")
    assert [one["task_id"] for one in done] == names[:2] and len(crowded.dead()) == 1
    out, _ = run(redis_url, "dead", "delete", "-q", "q", *names[2:])
    assert out == f"{names[2]} deleted\n" and crowded.dead() == {}


def test_a_dead_task_whose_lock_another_one_has_is_exit_code_1(
    scripts: Scripts, redis_url: str
) -> None:
    digest = "0123456789abcdef" * 2
    raw = message(1, opts=f'{{"u":"{digest}:60000"}}')
    scripts.claim("c", raw)
    why = dead_reason("failed", "e")
    scripts.exchange("c", outcomes=[Outcome(field(raw), "dead", why, "1")])
    scripts.redis.hset(scripts.key("unique", digest), "id", task_id(9))
    out, _ = run(redis_url, "dead", "replay", "-q", "q", "--all", code=1)
    assert out == f"{task_id(1)} held: task {task_id(9)} has its lock\n"


def test_dead_tasks_are_deleted(crowded: Scripts, redis_url: str) -> None:
    run(redis_url, "dead", "delete", "-q", "q", "--all", "--dry-run")
    assert len(crowded.dead()) == 3
    assert run(redis_url, "dead", "delete", "-q", "q", task_id(2))[0] == f"{task_id(2)} deleted\n"
    gone = objects(redis_url, "dead", "delete", "-q", "q", "--reason", "failed")
    assert [one["answer"] for one in gone] == ["deleted", "deleted"]
    assert crowded.dead() == {}


def test_a_change_needs_a_choice(crowded: Scripts, redis_url: str) -> None:
    for verb in ("replay", "delete"):
        _, said = run(redis_url, "dead", verb, "-q", "q", code=2)
        assert "--all" in said and said.count("\n") == 1
    _, said = run(redis_url, "dead", "replay", "--all", "--rate", "0", code=2)
    assert "tasks per second" in said
    assert len(crowded.dead()) == 3


@pytest.mark.parametrize("name", ["", "a b", "a{b}", "a\nb", "\udcff", "x" * 200])
def test_each_command_refuses_a_name_that_no_queue_can_have(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    uses = [
        ["queues", name],
        ["workers", name],
        ["task", task_id(1), "-q", name],
        *(["dead", verb, task_id(1), "-q", name] for verb in ("show", "replay", "delete")),
        ["dead", "list", "-q", name],
        ["search", "text", "-q", name],
        ["purge", name, "dead"],
        ["pause", name],
        ["resume", "q", name],
        ["limits", "list", "-q", name],
        ["periodic", "list", "-q", name],
        ["periodic", "pause", "a", "-q", name],
        ["cancel", task_id(1), "-q", name],
        ["start", "-q", name, "no.such.module:app"],
    ]
    for words in uses:
        with pytest.raises(SystemExit) as ended:
            main([*words, "-r", "redis://127.0.0.1:1"])
        said = capsys.readouterr()
        assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1), words
        assert said.err.startswith(f"fluxqueue {words[0]}") and "name" in said.err


def test_a_queue_may_have_any_letters(redis_url: str) -> None:
    assert objects(redis_url, "pause", "größe/日本") == [
        {"queue": "größe/日本", "paused": True, "changed": True}
    ]
    assert run(redis_url, "resume", "größe/日本")[0] == "größe/日本 resumed\n"


def test_a_place_of_a_queue_is_purged(crowded: Scripts, redis_url: str) -> None:
    dry = run(redis_url, "purge", "q", "dead", "--dry-run")[0]
    assert dry == "3 dead would be removed\n" and len(crowded.dead()) == 3
    assert run(redis_url, "purge", "q", "dead")[0] == "3 dead removed\n"
    purged = objects(redis_url, "purge", "q", "waiting")
    assert purged == [{"queue": "q", "part": "waiting", "tasks": 1, "removed": True}]
    assert crowded.dead() == {} and crowded.list("pending") == []
    assert list(crowded.delayed()) == [message(6)]


def test_a_rate_bounds_a_purge_and_a_deletion(crowded: Scripts, redis_url: str) -> None:
    crowded.enqueue(*(message(number) for number in range(20, 40)))
    began = time.monotonic()
    assert run(redis_url, "purge", "q", "waiting", "--rate", "50")[0] == "21 waiting removed\n"
    assert time.monotonic() - began >= 21 / 50
    began = time.monotonic()
    run(redis_url, "dead", "delete", "-q", "q", "--all", "--rate", "10")
    assert crowded.dead() == {} and time.monotonic() - began >= 2 / 10
    assert "not a rate" in run(redis_url, "purge", "q", "waiting", "--rate", "0", code=2)[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unreachable_redis_is_one_line_and_exit_code_3(name: str) -> None:
    words = {
        "task": [task_id(1), "-q", "q"],
        "dead": ["list"],
        "purge": ["q", "dead"],
        "pause": ["q"],
        "resume": ["q"],
    }
    out, said = run("redis://127.0.0.1:1", name, *words.get(name, []), code=3)
    assert out == "" and said.count("\n") == 1
    assert said.startswith(f"fluxqueue {name}: ")


def test_a_refusal_of_redis_is_one_line_and_exit_code_3(redis: Any, redis_url: str) -> None:
    redis.set(key("dead", "q"), "text")
    _, said = run(redis_url, "dead", "list", "-q", "q", code=3)
    redis.delete(key("dead", "q"))
    assert "WRONGTYPE" in said and said.count("\n") == 1
