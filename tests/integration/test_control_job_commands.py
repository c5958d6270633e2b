"""The commands for many tasks at once, for strikes and for the audit, in separate processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from fluxqueue_core import dead_reason, key
from support.scripts import Outcome, Scripts, field, message

TRACE = 'Traceback\n  File "/srv/shop/tasks.py", line 3, in send\n    x\nKeyError: 1\n'


def run(redis_url: str, *words: str, code: int = 0) -> tuple[str, str]:
    """Runs a command; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue", *words, "-r", redis_url],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FLUXQUEUE_ACTOR": "ann"},
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def objects(redis_url: str, *words: str, code: int = 0) -> list[Any]:
    out, _ = run(redis_url, *words, "--json", code=code)
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def crowded(scripts: Scripts, redis: Any) -> Scripts:
    """A queue with three dead tasks of one cause and one of another."""
    redis.sadd(key("queues"), "q")
    dying = [message(number, args=b'[{"id":%d}]' % number) for number in range(1, 5)]
    scripts.claim("c", *dying)
    for raw in dying:
        trace = TRACE if raw is not dying[3] else None
        why = Outcome(field(raw), "dead", dead_reason("failed", "KeyError: 1", trace), "1")
        scripts.exchange("c", outcomes=[why])
    return scripts


def test_groups_are_printed_and_one_is_replayed(crowded: Scripts, redis_url: str) -> None:
    first, second = objects(redis_url, "dead", "groups", "-q", "q")
    assert (first["count"], first["exception"], first["place"]) == (
        3,
        "KeyError",
        "shop/tasks.py:3 in send",
    )
    assert (second["count"], second["exception"]) == (1, "")
    out, _ = run(redis_url, "dead", "groups", "-q", "q")
    head, line, _ = out.splitlines()
    assert head.split()[:2] == ["GROUP", "TASKS"] and "shop/tasks.py:3 in send" in line
    group = ["--group", first["digest"]]
    assert len(objects(redis_url, "dead", "list", "-q", "q", *group)) == 3
    assert len(objects(redis_url, "dead", "replay", "-q", "q", *group, "--limit", "2")) == 2
    run(redis_url, "dead", "delete", "-q", "q", *group)
    assert len(crowded.dead()) == 1 and len(crowded.list("pending")) == 2


def test_a_job_is_counted_done_and_listed(crowded: Scripts, redis_url: str) -> None:
    start = ["job", "start", "replay", "dead", "-q", "q"]
    _, said = run(redis_url, *start, code=2)
    assert "--all" in said and said.count("\n") == 1
    [dry] = objects(redis_url, *start, "--argument", "0.id=2", "--dry-run")
    assert dry["outcome"] == {"chosen": 1} and dry["selection"] == {"argument": "0.id", "value": 2}
    out, said = run(redis_url, *start, "--exception", "KeyError", "--rate", "1000")
    assert out == "done: 4 seen, 3 done\n" and "job 0" in said
    [newest, _] = objects(redis_url, "job", "list", "-q", "q")
    assert (newest["state"], newest["who"]) == ("done", "ann")
    assert "3 done" in run(redis_url, "job", "list", "-q", "q")[0]
    for verb in ("stop", "resume"):
        _, said = run(redis_url, "job", verb, "-q", "q", newest["id"], code=1)
        assert newest["id"] in said
    assert (
        "does not go with" in run(redis_url, "job", "start", "cancel", "dead", "--all", code=2)[1]
    )
    assert len(crowded.dead()) == 1


def test_strikes_are_added_listed_and_lifted(redis: Any, redis_url: str) -> None:
    [added] = objects(redis_url, "strike", "add", "-q", "q", "send", "user.id=7")
    run(redis_url, "strike", "add", "-q", "q", "send", "user.name=x")
    assert objects(redis_url, "strike", "add", "-q", "q", "send", "user.id=7") == [
        {**added, "answer": "unchanged"}
    ]
    rules = objects(redis_url, "strike", "list", "-q", "q")
    assert sorted(rule["value"] for rule in rules if isinstance(rule["value"], int)) == [7]
    assert {rule["argument"] for rule in rules} == {"user.id", "user.name"}
    assert "user.id" in run(redis_url, "strike", "list", "-q", "q")[0]
    ids = [rule["strike"] for rule in rules]
    assert run(redis_url, "strike", "lift", "-q", "q", *ids)[0].count("lifted") == 2
    assert "no strike" in run(redis_url, "strike", "lift", "-q", "q", ids[0], code=1)[1]
    assert "ARGUMENT=VALUE" in run(redis_url, "strike", "add", "send", "user", code=2)[1]
    assert not redis.exists(key("strikes", "q"))


@pytest.mark.usefixtures("crowded")
def test_the_audit_is_printed_with_the_actor(redis_url: str) -> None:
    run(redis_url, "pause", "q", "--actor", "bob")
    run(redis_url, "dead", "replay", "-q", "q", "--all")
    last, begun, paused = objects(redis_url, "audit")
    assert (last["who"], last["what"], last["outcome"]) == (
        "ann",
        "replay",
        {"done": 4, "ended": 1},
    )
    assert begun["outcome"] == {"begun": 1}
    assert (paused["queue"], paused["who"], paused["what"]) == ("q", "bob", "pause")
    out, _ = run(redis_url, "audit", "q", "--limit", "1")
    assert out.splitlines()[1].split()[2:6] == ["q", "ann", "replay", "dead"]
    [shown] = objects(redis_url, "task", message(1)[13:49].decode())
    assert shown["paused"] and shown["why"][0]["cause"] == "paused"
