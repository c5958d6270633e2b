"""A plain task: the bytes of its messages, its keys, and what Redis does for it.

No feature costs a plain task anything. So each message, key and command of one is
compared with a recording of version 0.2.0.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from redis import Redis
from support.monitored import monitored
from support.scripts import Outcome, Scripts, field, message, messages
from support.waiting import wait_until
from support.worker_process import WorkerProcess

RECORDED = json.loads(Path(__file__).with_name("plain_task.json").read_text())
REASON = b'{"reason":"failed","error":"it failed"}'


def exchange_of_three(scripts: Scripts) -> None:
    scripts.exchange("c", 3)


def success_of_two(scripts: Scripts) -> None:
    held = messages(range(2))
    scripts.exchange("c", 2, succeeded=[field(m) for m in held])


def adopt_and_settle(scripts: Scripts) -> None:
    scripts.block("c")
    scripts.exchange("c", 1, succeeded=[field(message(0))])


def retry_dead_release(scripts: Scripts) -> None:
    first, second, third = messages(range(3))
    outcomes = [
        Outcome(field(first), "retry", message(0, retries=1), "1000"),
        Outcome(field(second), "dead", REASON, "0"),
        Outcome(field(third), "release"),
    ]
    scripts.exchange("c", 0, outcomes=outcomes)


def promote(scripts: Scripts) -> None:
    scripts.promote(10)


# The preparation, and the recorded call.
CASES: dict[str, tuple[Callable[[Scripts], None], Callable[[Scripts], None]]] = {
    "an exchange that claims three": (
        lambda scripts: scripts.enqueue(*messages(range(3))),
        exchange_of_three,
    ),
    "an exchange that finds nothing": (lambda scripts: None, exchange_of_three),
    "an exchange that settles two": (
        lambda scripts: scripts.claim("c", *messages(range(2))),
        success_of_two,
    ),
    "a BLMOVE, and an exchange that adopts and settles": (
        lambda scripts: scripts.enqueue(message(0)),
        adopt_and_settle,
    ),
    "a retry, a death and a release": (
        lambda scripts: scripts.claim("c", *messages(range(3))),
        retry_dead_release,
    ),
    "a retry that is due": (
        lambda scripts: scripts.redis.zadd(scripts.key("delayed"), {message(0, retries=1): 1}),
        promote,
    ),
}


def commands_of_scripts(scripts: Scripts, name: str) -> list[str]:
    before, call = CASES[name]
    scripts.open("c")
    scripts.be_swept()
    before(scripts)
    with monitored(scripts.redis) as commands:
        call(scripts)
    # Lua goes through a table of keys in any order.
    return commands.in_any_order("TYPE")


@pytest.mark.parametrize("name", CASES)
def test_scripts_call_the_same_commands(scripts: Scripts, name: str) -> None:
    assert commands_of_scripts(scripts, name) == RECORDED["scripts"][name]


def declare(redis_url: str) -> Any:
    queue = FluxQueue(redis_url)

    @queue.task(queue="mail")
    def plain(to: str, *, copies: int = 1) -> None: ...

    @queue.task(name="with_options", queue="mail", max_retries=5, timeout=2.5)
    async def with_options(to: str) -> None: ...

    return plain, with_options


def commands_of_a_client(redis_url: str, redis: Any) -> list[str]:
    plain, with_options = declare(redis_url)
    with monitored(redis) as commands:
        plain("a@example.com")
        plain("b@example.com", copies=2)
        plain.enqueue_many([("c@example.com",), {"to": "d@example.com"}])

        async def call() -> None:
            await asyncio.gather(with_options("e@example.com"), with_options("f@example.com"))
            await plain.enqueue_many_async([("g@example.com",)])

        asyncio.run(call())
    return commands.plain


def test_a_client_sends_the_same_bytes(redis_url: str, redis: Any) -> None:
    assert commands_of_a_client(redis_url, redis) == RECORDED["client"]


APP = """
@fluxqueue.task()
def done():
    note("done")

@fluxqueue.task(max_retries=0)
def fails():
    raise ValueError("no")
"""


def commands_and_keys_of_a_worker(folder: Path, redis_url: str) -> tuple[list[str], list[str]]:
    """Returns the worker's commands except scripts, each once, and the keys that are left."""
    queue = FluxQueue(redis_url)

    @queue.task()
    def done() -> None: ...

    @queue.task(max_retries=0)
    def fails() -> None: ...

    with Redis.from_url(redis_url) as redis, monitored(redis) as commands:
        with WorkerProcess(folder, redis_url, APP) as worker:
            worker.wait_for("worker.connected")
            done()
            fails()
            worker.wait_for("task.dead")
            wait_until(lambda: worker.notes() == ["done"])
            assert worker.stop() == 0
        left = sorted(name.decode() for name in redis.scan_iter())
    others = ("EVAL ", "EVALSHA ", "SCAN ")
    seen = {command for command in commands.plain if not command.startswith(others)}
    return sorted({re.sub(r"inbox:\w+|\d\.\d{3}$", "…", command) for command in seen}), left


def test_a_worker_sends_the_same_commands_and_leaves_the_same_keys(
    tmp_path: Path, redis_url: str
) -> None:
    commands, keys = commands_and_keys_of_a_worker(tmp_path, redis_url)
    assert commands == RECORDED["worker"]
    assert keys == RECORDED["keys left"]
