"""The contents of Redis after a run has ended."""

from __future__ import annotations

import json
from typing import Any

from fluxqueue_core import key, parse_message

from .evidence import Remains
from .moments import SCHEDULED, number_of

# Kinds of keys of a queue that docs/protocol.md lets stay when nothing waits:
# tombstones, the times of the sweeps, the dead, the counters, the latest changes, declared rules.
STAYING = (
    "consumers",
    "sweep",
    "dead",
    "dead:messages",
    "dead:reasons",
    "stats",
    "periodic:changed",
    "limits:rules",
    "limits:seen",
)


def read_remains(client: Any, queue: str) -> Remains:
    """Reads the whole database."""
    remains = Remains()
    may_stay = {key("queues"), *(key(kind, queue) for kind in STAYING)}
    names = [name.decode() for name in client.scan_iter(count=1000)]
    results, locks = key("result", queue, ""), key("unique", queue, "")
    # The index of the results goes with the last of them.
    finished = key("finished", queue)
    for name in names:
        if name.startswith(results):
            # -2: it has expired meanwhile.
            if (left := int(client.pttl(name))) != -2:
                remains.results[name.removeprefix(results)] = left
        elif name.startswith(locks):
            if (left := int(client.pttl(name))) != -2:
                remains.locks[name.removeprefix(locks)] = left
        elif name == finished:
            if client.pttl(name) == -1:
                remains.keys.append(f"{name} without a TTL")
        elif name not in may_stay:
            remains.keys.append(name)
    remains.keys.sort()
    if subscribed := client.pubsub_channels("fluxqueue*"):
        remains.keys.append(f"{len(subscribed)} subscriptions")
    if alive := client.zcount(key("consumers", queue), 0, "+inf"):
        remains.keys.append(f"{alive} consumers without a tombstone")
    remains.waiting = {_number(message) for message in waiting(client, queue)}
    with client.pipeline(transaction=True) as both:
        both.hgetall(key("dead:messages", queue))
        both.hgetall(key("dead:reasons", queue))
        messages, reasons = both.execute()
    for entry, reason in reasons.items():
        remains.dead[_number(messages[entry])] = json.loads(reason)["reason"]
    stats = client.hgetall(key("stats", queue))
    remains.counters = {name.decode(): int(count) for name, count in stats.items()}
    remains.succeeded = remains.counters.get("succeeded", 0)
    return remains


def waiting(client: Any, queue: str) -> list[bytes]:
    """The messages of the tasks that are neither done nor dead, wherever they are."""
    found = [
        *client.lrange(key("pending", queue), 0, -1),
        *client.zrange(key("prioritized", queue), 0, -1),
        *client.lrange(key("suspects", queue), 0, -1),
        *client.zrange(key("delayed", queue), 0, -1),
    ]
    for name in client.scan_iter(key("claimed", queue, "*"), count=1000):
        found += client.hvals(name)
    for kind in ("inbox", "limit:line"):
        for name in client.scan_iter(key(kind, queue, "*"), count=1000):
            found += client.lrange(name, 0, -1)
    return found


def _number(message: bytes) -> int:
    """The number of the task; of a callback, that of its task, negative."""
    parts = parse_message(message)
    [first, *_] = json.loads(parts["args"])
    if parts["name"] in SCHEDULED:
        return number_of(first, parts["task_id"])
    return -int(first["args"][0]) if isinstance(first, dict) else int(first)
