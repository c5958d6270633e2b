"""The Lua scripts of one queue, called as a worker or a scheduler calls them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fluxqueue_core import key, message_field, script, script_keys

LEASE = 10_000
GAP = 2_500
GRACE = 300_000
DAY = 86_400_000
# The slot of time in which watched exchanges count.
SLOT = "1764430000"

# The outcome of a cancelled task, around the number of its attempts.
CANCELLED = (b'{"state":"cancelled","error":{"text":""},"attempts":', b',"finished":7}')

# A body that any script which decoded and encoded messages would spoil.
DELICATE = b'[[],{},9007199254740993,1.0,"\\u00e9\xc3\xa9"]'


def message(
    number: int,
    *,
    deliveries: int = 0,
    retries: int = 0,
    requeues: int = 0,
    opts: str = "",
    args: bytes = DELICATE,
    name: str = "n",
) -> bytes:
    """A message as the core writes it; the ids of greater numbers are younger.
    With options (a JSON object) it is of version 2."""
    head = f'{{"v":{2 if opts else 1},"id":"019aa0c2-7b1f-7c3e-8d2a-{number:012x}"'
    if deliveries:
        head += f',"deliveries":{deliveries}'
    if retries:
        head += f',"retries":{retries}'
    if requeues:
        head += f',"requeues":{requeues}'
    if opts:
        head += f',"opts":{opts}'
    return head.encode() + f',"name":"{name}","args":'.encode() + args + b"}"


def messages(numbers: Iterable[int], **parts: Any) -> list[bytes]:
    return [message(number, **parts) for number in numbers]


def field(of: bytes) -> bytes:
    found = message_field(of)
    assert found is not None, f"no message: {of!r}"
    return found


class Outcome(NamedTuple):
    """An outcome other than success."""

    field: bytes
    kind: str
    payload: bytes = b""
    extra: str = ""


class Exchange:
    """The reply of an exchange that found its consumer alive."""

    now: int
    claimed: list[bytes]

    def __init__(self, reply: list[Any]) -> None:
        alive, self.now, self.claimed, *rest = reply
        assert alive == 1 and len(rest) % 2 == 0
        names = [name.decode() for name in rest[::2]]
        # The parts that are there only if they have something to tell.
        self.told: dict[str, Any] = dict(zip(names, rest[1::2], strict=True))
        assert len(self.told) == len(names)

    @property
    def parked(self) -> list[bytes]:
        parked: list[bytes] = self.told.get("parked", [])
        return parked

    @property
    def cancelled(self) -> list[bytes] | None:
        """The ids of cancelled tasks that it holds. None: the queue has no cancelled task."""
        return self.told.get("cancelled")


class Scripts:
    """Scripts and keys of one queue."""

    namespace = ""

    def __init__(self, redis: Any, queue: str = "q", namespace: str = "") -> None:
        self.redis = redis
        self.queue = queue
        self.namespace = namespace
        version: str = redis.info("server")["redis_version"]
        self.flags = int(version.partition(".")[0]) >= 7

    def call(
        self,
        name: str,
        arguments: Sequence[Any] = (),
        consumer: str | None = None,
        olds: Sequence[str] = (),
        results: Sequence[str] = (),
        more_keys: Sequence[str] = (),
    ) -> Any:
        keys = script_keys(name, self.queue, consumer, olds, self.namespace)
        keys += [*(self.key("result", each) for each in results), *more_keys]
        return self.redis.execute_command(
            "EVAL", script(name, self.flags), len(keys), *keys, *arguments
        )

    def key(self, kind: str, consumer: str = "") -> str:
        return key(kind, self.queue, consumer, self.namespace)

    def keys_of(self, consumer: str) -> list[str]:
        return [self.key("claimed", consumer), self.key("inbox", consumer)]

    def keys_of_watch(self, consumer: str) -> list[str]:
        slots = [self.key("stats:slot", slot) for slot in (SLOT, "total")]
        return [self.key("watched"), *slots, self.key("report", consumer)]

    # The scripts.

    def open(
        self,
        new: str,
        olds: Sequence[str] = (),
        keep: Sequence[bytes] = (),
        lease: int = LEASE,
        who: str = "",
    ) -> list[bytes] | None:
        """The fields that the new consumer holds; None if it was refused."""
        reply = self.call("open", [new, lease, who, len(olds), *olds, *keep], new, olds)
        return None if reply[0] == 0 else reply[2:]

    def try_exchange(
        self,
        consumer: str,
        limit: int = 0,
        *,
        succeeded: Sequence[bytes] = (),
        outcomes: Sequence[Outcome] = (),
        source: str = "pending",
        save_dead: bool = True,
        lease: int = LEASE,
        grace: int = GRACE,
        watch: tuple[str, str] | None = None,
    ) -> Exchange | None:
        """None if the lease is lost. `watch`: counts and a report, with the question whether a
        reader watches."""
        flat: list[bytes | str | int] = [part for outcome in outcomes for part in outcome]
        keys = [] if watch is None else self.keys_of_watch(consumer)
        if watch is not None:
            flat += [len(script_keys("exchange", self.queue, consumer)) + 1, "watch", *watch]
        reply = self.call(
            "exchange",
            [
                *(consumer, lease, limit, source, "1" if save_dead else "0", grace),
                *(len(succeeded), *succeeded, *flat),
            ],
            consumer,
            more_keys=keys,
        )
        return None if reply == [0] else Exchange(reply)

    def exchange(self, consumer: str, limit: int = 0, **rest: Any) -> Exchange:
        reply = self.try_exchange(consumer, limit, **rest)
        assert reply is not None, f"{consumer} has lost its lease"
        return reply

    def sweep(self, gap: int = GAP, lease: int = LEASE, limit: int = 100) -> Any:
        """[now, ms of quiet left, late consumers, tombstones]"""
        return self.call("sweep", [gap, lease, limit])

    def bury(self, consumer: str, limit: int = 100, gap: int = GAP) -> dict[bytes, bytes]:
        _, *flat = self.call("bury", [consumer, gap, limit, 0], consumer)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def move(self, consumer: str, *moves: tuple[bytes, str, bytes, bytes]) -> Any:
        flat = [part for move in moves for part in move]
        return self.call("move", flat, consumer)

    def reclaim(self, consumer: str, forget: int = DAY) -> Any:
        return self.call("reclaim", [consumer, forget], consumer)

    def promote(self, limit: int = 1_000) -> Any:
        return self.call("promote", [limit])

    def cancel(self, of: bytes, most: int = 1_000) -> str:
        """Cancels the task of a message."""
        [verdict] = self.call("cancel", [of[13:49], 7 * DAY, most, *CANCELLED, "0"])
        return str(verdict.decode())

    def cancelled(self) -> set[bytes]:
        """The ids of cancelled tasks, without the member that stands for strikes."""
        return set(self.redis.zrange(self.key("cancelled"), 0, -1)) - {b"strikes"}

    def requeue(self, *tasks: tuple[bytes, float, str, bytes, str]) -> list[Any]:
        """Requeues dead tasks. A task with '' for its result has none that is removed."""
        results = [result for *_, result in tasks if result]
        keys = len(script_keys("requeue", self.queue))
        words: list[Any] = []
        for *read, result in tasks:
            words += [*read, keys + 1 + results.index(result) if result else ""]
        replies: list[Any] = self.call("requeue", words, results=results)
        return replies

    def death(self, entry: bytes) -> tuple[bytes, float, str]:
        """A dead task as a caller of `requeue` reads it."""
        died = self.redis.zscore(self.key("dead"), entry)
        kept = self.redis.hget(self.key("dead:messages"), entry) or b""
        return entry, died or 0.0, hashlib.sha1(kept, usedforsecurity=False).hexdigest()

    def hasten(self, of: bytes) -> int:
        """Enqueues a delayed message before it is due."""
        [reply] = self.call("requeue", ["", "", "", of, ""])
        return int(reply)

    def delete(self, of: bytes, where: str, place: float | str = "") -> int:
        """Deletes one task."""
        [reply] = self.call("delete", [of, where, place, ""])
        return int(reply)

    def find(
        self, of: bytes, where: str = "pending", at: int | str = 0, most: int = 1_000
    ) -> list[Any]:
        """Looks for the task of a message in a list."""
        reply: list[Any] = self.call("find", [of[13:49], where, at, most])
        return reply

    def search(
        self,
        where: str,
        *,
        looks: int = 1_000,
        most: int = 100,
        after: Sequence[Any] = (0, "", ""),
        texts: Sequence[Any] = (),
    ) -> list[Any]:
        """Looks through a place of the queue; `texts` are the criteria as the script takes them."""
        reply: list[Any] = self.call("search", [where, looks, most, *after, *texts])
        return reply

    def trim_dead(self, count: int, age: int = DAY, limit: int = 1_000) -> Any:
        return self.call("trim_dead", [count, age, limit])

    # The actions of a client, of a blocked worker and of time.

    def enqueue(self, *of: bytes) -> None:
        self.redis.lpush(self.key("pending"), *of)

    def enqueue_ranked(self, *of: bytes) -> None:
        """As a client does with calls that have a priority."""
        keys = [*script_keys("enqueue", self.queue, None, (), self.namespace)]
        keys.append(self.key("prioritized"))
        arguments = [part for m in of for part in ("+0", m)]
        text = script("enqueue", self.flags)
        self.redis.execute_command("EVAL", text, len(keys), *keys, *arguments)

    def enqueue_unique(self, *calls: tuple[str, bytes]) -> list[bytes | None]:
        """Enqueues calls, each with its time and the lock that it wants. For each the id of the
        task that is in its place; None: it was enqueued."""
        replies = self.call("enqueue_unique", [part for call in calls for part in call])
        return [None if reply == 1 else reply for reply in replies]

    def lock(self, digest: str) -> dict[bytes, bytes]:
        """The contents of a lock, without its time."""
        lock: dict[bytes, bytes] = self.redis.hgetall(self.key("unique", digest))
        assert (lock.pop(b"since", None) is None) == (lock == {})
        return lock

    def block(self, consumer: str, source: str = "pending") -> bytes | None:
        """Moves a message as a worker's BLMOVE does."""
        moved: bytes | None = self.redis.lmove(
            self.key(source), self.key("inbox", consumer), "RIGHT", "LEFT"
        )
        return moved

    def claim(self, consumer: str, *of: bytes, lease: int = LEASE) -> None:
        """Opens a consumer that holds these messages."""
        if self.score(consumer) is None:
            self.open(consumer)
        if of:
            self.enqueue(*of)
        got = self.exchange(consumer, len(of), lease=lease)
        assert sorted(got.claimed) == sorted(of)

    def now(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds) * 1_000 + int(micros) // 1_000

    def end_lease(self, consumer: str) -> None:
        """As if the consumer's lease had ended a second ago."""
        assert self.score(consumer) is not None
        self.redis.zadd(self.key("consumers"), {consumer: self.now() - 1_000}, xx=True)

    def be_swept(self) -> None:
        """As if sweeps had come in time for long."""
        self.redis.hset(self.key("sweep"), mapping={"last": self.now(), "quiet": 0})

    def is_calm(self) -> bool:
        """Whether the grace after the first sweep is over."""
        last, quiet = self.redis.hmget(self.key("sweep"), "last", "quiet")
        return last is not None and int(last) > int(quiet)

    # The contents of Redis.

    def score(self, consumer: str) -> float | None:
        score: float | None = self.redis.zscore(self.key("consumers"), consumer)
        return score

    def is_tombstone(self, consumer: str) -> bool:
        score = self.score(consumer)
        return score is not None and score < 0

    def list(self, kind: str, consumer: str = "") -> list[bytes]:
        """A list in the order in which it will be taken."""
        items: list[bytes] = self.redis.lrange(self.key(kind, consumer), 0, -1)
        return items[::-1]

    def held(self, consumer: str) -> dict[bytes, bytes]:
        held: dict[bytes, bytes] = self.redis.hgetall(self.key("claimed", consumer))
        return held

    def delayed(self) -> dict[bytes, float]:
        return dict(self.redis.zrange(self.key("delayed"), 0, -1, withscores=True))

    def dead(self) -> dict[bytes, tuple[bytes, bytes]]:
        """(message, reason) by entry; the three keys must agree."""
        entries = self.redis.zrange(self.key("dead"), 0, -1)
        kept = self.redis.hgetall(self.key("dead:messages"))
        reasons = self.redis.hgetall(self.key("dead:reasons"))
        assert set(entries) == set(kept) == set(reasons)
        # The index of groups has nothing that is no longer there.
        assert set(self.redis.hkeys(self.key("dead:grouped"))) <= set(entries)
        return {entry: (kept[entry], reasons[entry]) for entry in entries}

    def stats(self) -> dict[str, int]:
        stats = self.redis.hgetall(self.key("stats"))
        return {name.decode(): int(value) for name, value in stats.items()}
