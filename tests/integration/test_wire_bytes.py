"""The bytes that a plain enqueue writes, compared with those of version 0.2.0.

`wire_bytes.json` was written by the release itself: with an older build on the path,
`PYTHONPATH=tests python tests/integration/test_wire_bytes.py` prints it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import Producer, Route, Settings
from support.wire import Wire

FILE = Path(__file__).with_name("wire_bytes.json")
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
ID = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"
HEADERS = b'{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'
PLAIN = Route("q", "task")
OTHER = Route("other", "task")
TERMS = Route("q", "with_terms", max_retries=5, timeout=2.5)

Way = Callable[[Producer], None]


def no_check(*args: object, **kwargs: object) -> None: ...


def per_call(*_: object) -> tuple[bytes | None, str | None]:
    return HEADERS, ID


def sync(producer: Producer) -> None:
    producer.enqueue(PLAIN, (), {})
    producer.enqueue(PLAIN, (1, "é", None), {"a": [1.5]})
    producer.enqueue(TERMS, (1,), {})
    producer.enqueue(PLAIN, (), {}, HEADERS, ID)
    producer.enqueue(OTHER, (), {}, None, ID)


def event_loop(producer: Producer) -> None:
    async def run() -> None:
        # One write: grouped by queue, each queue in the order of its calls.
        await asyncio.gather(
            producer.enqueue_async(PLAIN, (1,), {}),
            producer.enqueue_async(OTHER, (2,), {}),
            producer.enqueue_async(TERMS, (3,), {"a": 1}),
            producer.enqueue_async(PLAIN, (4,), {}, HEADERS, ID),
            producer.enqueue_chunk_async(OTHER, [(5,), {"a": 6}], no_check),
        )
        await producer.enqueue_async(PLAIN, (7,), {})
        await producer.enqueue_chunk_async(PLAIN, [(8,), (9,)], no_check, per_call)

    asyncio.run(run())


def bulk(producer: Producer) -> None:
    assert producer.enqueue_many(PLAIN, [(1,), {"a": 2}], no_check) == 2
    assert producer.enqueue_many(TERMS, [(3,)], no_check, per_call) == 1


def large_bulk(producer: Producer) -> None:
    assert producer.enqueue_many(PLAIN, ((n,) for n in range(2_500)), no_check) == 2_500
    big = "x" * 300_000
    assert producer.enqueue_many(PLAIN, [(big,)] * 5, no_check) == 5


WAYS: dict[str, Way] = {"sync": sync, "event loop": event_loop, "bulk": bulk}
OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    ", WAIT": {"wait_replicas": 2, "wait_timeout": 0.5},
    ", WAITAOF": {"wait_aof": True, "wait_replicas": 1, "wait_timeout": 0.25},
}


def text(sent: bytes) -> list[str]:
    """The commands, each a text; a long one by its digest."""
    commands = re.split(rb"(?=\*\d+\r\n\$\d+\r\n[A-Z])", UUID.sub(b"<id>", sent))
    return [
        command.decode()
        if len(command) < 2_000
        else f"{command[:60]!r}, {len(command)} bytes, {hashlib.sha256(command).hexdigest()}"
        for command in commands
        if command
    ]


def written(way: Way, options: dict[str, Any]) -> list[list[str]]:
    """The commands sent over each connection."""
    with Wire() as wire:
        way(Producer(Settings(wire.url, **options)))
        return [text(bytes(sent)) for sent in wire.sent]


def written_after_ask(way: Way, options: dict[str, Any]) -> dict[str, list[list[str]]]:
    """The first LPUSH of each hash slot is redirected by ASK to another node."""
    asked: set[bytes] = set()

    def owner_of_all(words: list[bytes]) -> bytes | None:
        if words[0] == b"CLUSTER":
            node = b"*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % owner.port
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n" + node
        if words[0] == b"LPUSH" and words[1] not in asked:
            asked.add(words[1])
            return b"-ASK 1 127.0.0.1:%d\r\n" % target.port
        return None

    with Wire(owner_of_all) as owner, Wire() as target:
        url = owner.url.replace("redis:", "redis+cluster:")
        way(Producer(Settings(url, **options)))
        return {"owner": enqueued(owner), "target": enqueued(target)}


def enqueued(wire: Wire) -> list[list[str]]:
    """The commands sent over each connection, except questions about the cluster. A loop
    opens one for each hash slot, in any order."""
    sent = [text(bytes(sent)) for sent in wire.sent]
    return sorted(commands for commands in sent if "CLUSTER" not in commands[0])


def recording() -> dict[str, Any]:
    found: dict[str, Any] = {"large bulk": written(large_bulk, {})}
    for name, way in WAYS.items():
        for what, options in OPTIONS.items():
            found[name + what] = written(way, options)
        for what in ("", ", WAIT"):
            found[name + what + ", ASKING"] = written_after_ask(way, OPTIONS[what])
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return recording()


RECORDED: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}


@pytest.mark.parametrize("name", RECORDED)
def test_the_bytes_are_those_of_the_recording(found: dict[str, Any], name: str) -> None:
    assert found[name] == RECORDED[name]


def test_every_way_is_recorded(found: dict[str, Any]) -> None:
    assert RECORDED.keys() == found.keys() and len(RECORDED) == 16


if __name__ == "__main__":
    print(json.dumps(recording(), indent=1, ensure_ascii=False))
