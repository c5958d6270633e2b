"""The limits of a queue's tasks: read, and changed for all tasks at run time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fluxqueue_core.limits import LimitRules, check_limit_name, limit_digest

from .errors import checked
from .redis_client import Audit, RedisClient, Reply, ScriptCall

_RULE = re.compile(rb"([0-9]+):([0-9]+):([0-9]+)(?: (.*))?", re.DOTALL)
_OPTION = re.compile(rb'[{,]"l":"[0-9a-f]{32}:([0-9]+:[0-9]+:[0-9]+)"')


@dataclass(frozen=True, slots=True)
class NamedLimit:
    """A limit of a queue for which there are rules in Redis.

    Attributes:
        name: that of the task or of `fluxqueue.limit`.
        declared: what the code of workers says; None if no worker declares it.
        override: what an operator says, which counts instead; None without one.
    """

    name: str
    declared: LimitRules | None
    override: LimitRules | None

    @property
    def rules(self) -> LimitRules | None:
        """The rules that count for its tasks."""
        return self.declared if self.override is None else self.override


@dataclass(frozen=True, slots=True)
class LimitedKey:
    """A key of a limit for which tasks run or wait.

    Attributes:
        digest: its name in Redis and in messages.
        name: that of the limit; None if Redis does not know it.
        key: text of the key, shortened; '' if the limit has one key, or if Redis does not know it.
        rules: what counts for its tasks; None if none waits and no worker declares the limit.
        running: tasks that workers have taken.
        ready: admitted tasks, which wait for a worker.
        waiting: tasks that wait for a place, or for their time.
    """

    digest: str
    name: str | None
    key: str
    rules: LimitRules | None
    running: int
    ready: int
    waiting: int


@dataclass(frozen=True, slots=True)
class LimitPage:
    """Some named limits of a queue, in no order.

    Attributes:
        cursor: leads to the next page; None on the last one.
    """

    limits: Sequence[NamedLimit]
    cursor: int | None


@dataclass(frozen=True, slots=True)
class LimitedKeyPage:
    """Some keys of limits, in no order.

    Attributes:
        cursor: leads to the next page; None on the last one.
    """

    keys: Sequence[LimitedKey]
    cursor: int | None


def read_limits(
    client: RedisClient, queue: str, cursor: int | None = None, limit: int = 100
) -> LimitPage:
    """Reads about `limit` of the limits for which there are rules. One that stays is on some
    page; one may be on two.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    # Each of them has up to two fields.
    words = ("HSCAN", client.key("limits:rules", queue), cursor or 0, "COUNT", 2 * limit)
    following, found = client.command(*words)
    digests = dict.fromkeys(bytes(field[1:]) for field in _pairs(found))
    limits = _read_rules(client, queue, list(digests))
    named = [each for each in limits.values() if each is not None]
    return LimitPage(named, int(following) or None)


def read_limit(client: RedisClient, queue: str, name: str) -> NamedLimit | None:
    """Reads the rules of one limit; None if there are none. Raises as `read_limits`."""
    digest = limit_digest(name).encode()
    return _read_rules(client, queue, [digest])[digest]


def read_keys(
    client: RedisClient,
    queue: str,
    cursor: int | None = None,
    limit: int = 100,
    name: str | None = None,
) -> LimitedKeyPage:
    """Reads about `limit` of the keys for which tasks run or wait; with a `name` only those of
    this limit, so that a page may be empty. Raises as `read_limits`."""
    match = ("MATCH", f"{limit_digest(name)}*") if name is not None else ()
    words = ("HSCAN", client.key("limits:texts", queue), cursor or 0, *match, "COUNT", limit)
    following, found = client.command(*words)
    return LimitedKeyPage(_read_keys(client, queue, _pairs(found)), int(following) or None)


def read_key(client: RedisClient, queue: str, digest: str) -> LimitedKey | None:
    """Reads one key of a limit; None if no task of it runs or waits. Raises as `read_limits`."""
    name = digest.encode()
    text = client.command("HGET", client.key("limits:texts", queue), name)
    return None if text is None else _read_keys(client, queue, {name: text})[0]


def override(client: RedisClient, queue: str, name: str, rules: LimitRules) -> bool:
    """Sets the rules of a limit, at once and also for the tasks that wait. They count instead of
    those of the code until `clear`. Returns whether that changes the override.

    Raises:
        TypeError, ConfigurationError: the name of the queue or the limit is not valid, or the rules
            are not those of a limit.
        ResponseError, UNAVAILABLE: as `read_limits`; it may be changed. A second call does no
            harm.
    """
    check_limit_name(name)
    rules.check()
    audit = Audit("limit set", f"{name}: {rules}")
    record = rules.record(name)
    return _change(client, queue, ("set", limit_digest(name), record), audit) == "changed"


def clear(client: RedisClient, queue: str, name: str) -> bool:
    """Removes the override of a limit: the limit in the code applies again. Returns whether there
    was one. Raises as `override`."""
    audit = Audit("limit clear", name)
    return _change(client, queue, ("clear", limit_digest(name)), audit) == "cleared"


def _change(client: RedisClient, queue: str, arguments: Sequence[str | bytes], audit: Audit) -> str:
    [word] = client.call(ScriptCall("limit_rules", queue, arguments, audit=audit))
    return str(word.decode())


def _pairs(found: Reply) -> dict[bytes, bytes]:
    if isinstance(found, dict):
        return found
    return dict(zip(found[::2], found[1::2], strict=True))


def _read_rules(
    client: RedisClient, queue: str, digests: Sequence[bytes]
) -> dict[bytes, NamedLimit | None]:
    """Reads the rules of limits, by the digests of their names."""
    if not digests:
        return {}
    fields = [kind + digest for digest in digests for kind in (b"d", b"o")]
    found = client.command("HMGET", client.key("limits:rules", queue), *fields)
    return {
        digest: _named(found[2 * index], found[2 * index + 1])
        for index, digest in enumerate(digests)
    }


def _named(declared: bytes | None, own: bytes | None) -> NamedLimit | None:
    records = [_RULE.fullmatch(record or b"") for record in (declared, own)]
    read = [None if each is None else _rules(each[0]) for each in records]
    name = next((each[4] for each in records if each is not None), None)
    if name is None:
        return None
    return NamedLimit(name.decode(errors="replace"), *read)


def _rules(numbers: bytes) -> LimitRules:
    found = _RULE.fullmatch(numbers)
    assert found is not None
    return LimitRules(int(found[1]), int(found[2]), max(int(found[3]), 1))


def _read_keys(client: RedisClient, queue: str, texts: dict[bytes, bytes]) -> list[LimitedKey]:
    if not texts:
        return []
    replies = iter(
        checked(
            client.commands(
                command
                for digest in (digest.decode(errors="replace") for digest in texts)
                for command in (
                    ("ZCOUNT", client.key("limit:places", queue, digest), 0, "+inf"),
                    ("ZCOUNT", client.key("limit:places", queue, digest), "-inf", "(0"),
                    ("LLEN", client.key("limit:line", queue, digest)),
                    ("LINDEX", client.key("limit:line", queue, digest), -1),
                )
            )
        )
    )
    named = _read_rules(client, queue, list(dict.fromkeys(digest[:16] for digest in texts)))
    rows = zip(texts.items(), zip(*[replies] * 4, strict=True), strict=True)
    return [_key(digest, text, named[digest[:16]], *row) for (digest, text), row in rows]


def _key(
    digest: bytes,
    text: bytes,
    named: NamedLimit | None,
    running: int,
    ready: int,
    waiting: int,
    head: bytes | None,
) -> LimitedKey:
    name, _, key = text.decode(errors="replace").partition(" ")
    rules = None if named is None else named.rules
    if rules is None and head is not None:
        # The message at the head of the line says how much its key allows.
        found = _OPTION.search(head[:1_024])
        rules = None if found is None else _rules(found[1])
    known = name or (None if named is None else named.name)
    return LimitedKey(digest.decode(errors="replace"), known, key, rules, running, ready, waiting)
