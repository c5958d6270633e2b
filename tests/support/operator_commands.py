"""The commands of an operator, run in a separate process, and a queue for them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from fluxqueue_core import dead_reason, key

from .scripts import DAY, Outcome, Scripts, field, message


def run(redis_url: str, *words: str, code: int = 0) -> tuple[str, str]:
    """Runs a command; returns what it prints to stdout and to stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue", *words, "-r", redis_url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def objects(redis_url: str, *words: str, code: int = 0) -> list[Any]:
    """Runs a command with --json; returns the objects that it prints."""
    out, _ = run(redis_url, *words, "--json", code=code)
    return [json.loads(line) for line in out.splitlines()]


def task_id(number: int) -> str:
    """The id of a message of `support.scripts`."""
    return message(number)[13:49].decode()


def crowd(scripts: Scripts) -> Scripts:
    """Fills a queue: three tasks are dead, one runs, one waits and one is delayed."""
    redis = scripts.redis
    redis.sadd(key("queues"), scripts.queue)
    scripts.open("c", who='{"host":"h","pid":7,"version":"1","slots":2}')
    dead = [message(1, retries=3), message(2), message(3, name="other")]
    scripts.claim("c", *dead, message(4))
    for raw, reason in zip(dead, ("failed", "rejected", "failed"), strict=True):
        why = dead_reason(reason, "KeyError: 'a'", "Traceback\n  line")
        scripts.exchange("c", outcomes=[Outcome(field(raw), "dead", why, "1")])
        redis.zincrby(scripts.key("dead"), int(raw[48:49]), field(raw))
    scripts.enqueue(message(5))
    redis.zadd(scripts.key("delayed"), {message(6): scripts.now() + DAY})
    redis.zadd(scripts.key("consumers"), {"c": scripts.now() + DAY})
    return scripts
