"""The dead set can be read page by page, even if it changes meanwhile."""

from __future__ import annotations

import random
from typing import Any

import pytest
from fluxqueue_control import dead
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, dead_reason, key
from fluxqueue_core.errors import ConfigurationError
from redis.exceptions import ResponseError
from support.scripts import Outcome, Scripts, field, message

# Redis 6.2 and Valkey answer these commands too.
pytestmark = pytest.mark.versions


def make_dead(scripts: Scripts, *numbers: int, reason: bytes | None = None) -> list[bytes]:
    """Makes tasks with these numbers dead, as a worker does; returns their entries."""
    held = [message(number) for number in numbers]
    scripts.claim("c", *held)
    reason = reason or dead_reason("failed", "it broke", "Traceback: it broke")
    scripts.exchange("c", outcomes=[Outcome(field(one), "dead", reason, "1") for one in held])
    return [field(one) for one in held]


def plant(redis: Any, scores: dict[bytes, float]) -> None:
    """Adds entries as a crowd of deaths would."""
    redis.zadd(key("dead", "q"), scores)


def entries(page: dead.DeadPage) -> list[bytes]:
    return [task.entry for task in page.tasks]


def all_pages(control: RedisClient, limit: int) -> list[bytes]:
    found: list[bytes] = []
    cursor = None
    while True:
        page = dead.read_page(control, "q", cursor, limit)
        assert len(page.tasks) <= limit
        found += entries(page)
        cursor = page.cursor
        if cursor is None:
            return found


def test_a_page_has_each_task_with_its_reason(scripts: Scripts, control: RedisClient) -> None:
    before = scripts.now() / 1_000
    [entry] = make_dead(scripts, 1)
    page = dead.read_page(control, "q")
    [task] = page.tasks
    assert page.cursor is None
    assert task.entry == entry and task.message == message(1) and task.size == len(message(1))
    assert (task.reason, task.error) == ("failed", "it broke")
    assert task.traceback == "Traceback: it broke"
    assert before - 0.001 <= task.died_at <= scripts.now() / 1_000
    parts = task.parse()
    assert parts is not None and parts["name"] == "n"
    assert dead.show(control, "q", entry) == task


def test_an_empty_dead_set_is_one_empty_page(control: RedisClient) -> None:
    assert dead.read_page(control, "q") == dead.DeadPage([], None)
    assert dead.show(control, "q", b"nothing") is None


def test_the_youngest_are_on_the_first_page(scripts: Scripts, control: RedisClient) -> None:
    plant(scripts.redis, {b"e%d" % n: n for n in range(1, 8)})
    page = dead.read_page(control, "q", limit=3)
    assert entries(page) == [b"e7", b"e6", b"e5"]
    page = dead.read_page(control, "q", page.cursor, limit=3)
    assert entries(page) == [b"e4", b"e3", b"e2"] and page.cursor is not None
    page = dead.read_page(control, "q", page.cursor, limit=3)
    assert entries(page) == [b"e1"] and page.cursor is None


def test_a_full_last_page_has_no_cursor(redis: Any, control: RedisClient) -> None:
    plant(redis, {b"a": 1, b"b": 1})
    assert dead.read_page(control, "q", limit=2).cursor is None
    assert dead.read_page(control, "q", limit=1).cursor is not None


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_tasks_that_died_in_the_same_millisecond_are_all_listed(
    redis: Any, control: RedisClient, limit: int
) -> None:
    scores = {b"%03d" % n: float(n // 20) for n in range(60)}
    plant(redis, scores)
    assert all_pages(control, limit) == sorted(scores, reverse=True)


class Meddling(RedisClient):
    """A client during whose reads others change the dead set."""

    def __init__(self, url: str, meddle: Any) -> None:
        super().__init__(Settings(url), 5.0)
        self._meddle = meddle

    def commands(self, commands: Any) -> list[Any]:
        self._meddle()
        return super().commands(commands)


@pytest.mark.parametrize("attempt", range(10))
def test_entries_that_stay_are_listed_once_whatever_is_added_or_removed(
    redis: Any, redis_url: str, chance: random.Random, attempt: int
) -> None:
    stay = {b"s%04d" % chance.randrange(10_000): float(chance.randrange(4)) for _ in range(150)}
    go = {b"g%04d" % chance.randrange(10_000): float(chance.randrange(4)) for _ in range(150)}
    plant(redis, stay | go)
    leaving = list(go)
    chance.shuffle(leaving)
    coming = [b"n%04d" % number for number in range(300)]
    chance.shuffle(coming)

    def meddle() -> None:
        for _ in range(chance.randrange(8)):
            if leaving and chance.random() < 0.6:
                redis.zrem(key("dead", "q"), leaving.pop())
            elif coming:
                redis.zadd(key("dead", "q"), {coming.pop(): float(chance.randrange(6))})

    client = Meddling(redis_url, meddle)
    found = all_pages(client, chance.randrange(1, 12))
    client.close()
    assert len(found) == len(set(found)), "an entry was listed twice"
    assert [entry for entry in found if entry in stay] == sorted(
        stay, key=lambda entry: (stay[entry], entry), reverse=True
    )


def test_a_page_leaves_out_large_messages_and_show_reads_them(
    scripts: Scripts, control: RedisClient
) -> None:
    large = message(1, args=b'["%s"]' % (b"x" * dead.SHORT))
    scripts.claim("c", large)
    reason = dead_reason("failed", "y" * dead.SHORT)
    scripts.exchange("c", outcomes=[Outcome(field(large), "dead", reason, "1")])
    [task] = dead.read_page(control, "q").tasks
    assert task.message is None and task.size == len(large) and task.parse() is None
    assert (task.reason, task.error, task.traceback) == ("", "", None)
    whole = dead.show(control, "q", task.entry)
    assert whole is not None and whole.message == large
    assert (whole.reason, whole.error) == ("failed", "y" * dead.SHORT)


def test_some_entries_are_read_in_three_round_trips_without_those_that_are_gone(
    scripts: Scripts, control: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = make_dead(scripts, *range(1, 30))
    large = message(99, args=b'["' + b"x" * dead.SHORT + b'"]')
    scripts.claim("c", large)
    why = dead_reason("failed", "KeyError: 1")
    scripts.exchange("c", outcomes=[Outcome(field(large), "dead", why, "1")])
    wanted = [field(large), b"gone", *small]
    one_by_one = [dead.show(control, "q", entry) for entry in wanted]
    trips: list[int] = []
    plain = RedisClient.commands

    def counted(client: RedisClient, commands: Any) -> list[Any]:
        sent = list(commands)
        trips.append(len(sent))
        return plain(client, sent)

    monkeypatch.setattr(RedisClient, "commands", counted)
    left_out, *found = dead.read_entries(control, "q", wanted)
    assert len(trips) == 3 and max(trips) == 60
    assert found == one_by_one[2:]
    assert not left_out.is_whole and dead.read_whole(control, "q", left_out) == one_by_one[0]
    assert dead.read_entries(control, "q", []) == dead.read_entries(control, "q", [b"gone"]) == []


@pytest.mark.parametrize(
    "reason", [b"", b"no JSON", b"[]", b"{}", b'{"reason":"failed"}', b'"text"', b"[" * 9_999]
)
def test_an_unreadable_reason_is_empty(
    scripts: Scripts, control: RedisClient, reason: bytes
) -> None:
    [entry] = make_dead(scripts, 1)
    scripts.redis.hset(key("dead:reasons", "q"), entry, reason)
    [task] = dead.read_page(control, "q").tasks
    assert (task.reason, task.error, task.traceback) == ("", "", None)
    assert task.message == message(1)


def test_a_malformed_message_is_listed_to_the_byte(scripts: Scripts, control: RedisClient) -> None:
    odd = b'{"v":1,"id":"\xff\xfe"}'
    scripts.enqueue(odd)
    scripts.open("c")
    scripts.exchange("c", 10)
    [task] = dead.read_page(control, "q").tasks
    assert task.message == odd and task.reason == "malformed" and task.parse() is None
    assert dead.show(control, "q", task.entry) == task


def test_an_entry_without_a_message_is_listed(redis: Any, control: RedisClient) -> None:
    plant(redis, {b"\xff:#1": 1_500})
    [task] = dead.read_page(control, "q").tasks
    assert task == dead.DeadTask(b"\xff:#1", 1.5, 0, None, "", "", None)


@pytest.mark.parametrize(
    "cursor", ["", "x", "1:2", "1:x:00", "1:1:zz", "nan:1:00", "1:0:00", "1:-1:00", "1:1:00:00"]
)
def test_a_wrong_cursor_is_refused(control: RedisClient, cursor: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor of the dead set"):
        dead.read_page(control, "q", cursor)


@pytest.mark.parametrize("limit", [0, -1, 1_001, 10**5_000], ids=["0", "-1", "1001", "huge"])
def test_a_wrong_limit_is_refused(control: RedisClient, limit: int) -> None:
    with pytest.raises(ValueError, match=r"^limit is .* from 1 to 1000"):
        dead.read_page(control, "q", limit=limit)


@pytest.mark.parametrize("kind", ["dead", "dead:messages", "dead:reasons"])
def test_a_key_of_another_type_is_an_error(redis: Any, control: RedisClient, kind: str) -> None:
    plant(redis, {b"e": 1})
    redis.delete(key(kind, "q"))
    redis.set(key(kind, "q"), "a string")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        dead.read_page(control, "q")
    with pytest.raises(ConfigurationError, match="queue name"):
        dead.read_page(control, "a}b")
