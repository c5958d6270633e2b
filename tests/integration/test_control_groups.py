"""The dead set by what went wrong: the index is right whatever happens to the tasks."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from fluxqueue_control import dead, deleting, groups, purge
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.requeue import replay
from fluxqueue_core import dead_reason
from redis.exceptions import ResponseError
from support.scripts import Outcome, Scripts, field, message
from support.waiting import wait_until

pytestmark = pytest.mark.versions


def reason_of(place: int) -> bytes:
    trace = f'Traceback\n  File "/srv/shop/tasks.py", line {place}, in send\n    x\nKeyError: 1\n'
    return dead_reason("failed", "KeyError: 1", trace)


def die(scripts: Scripts, why: bytes, *raw: bytes) -> None:
    scripts.claim("c", *raw)
    scripts.exchange("c", outcomes=[Outcome(field(one), "dead", why, "1") for one in raw])


def counts(control: RedisClient) -> dict[tuple[str, str], int]:
    # A task that has died in this millisecond waits for the next look.
    wait_until(lambda: groups.add_new(control, "q") and not groups.count_ungrouped(control, "q"))
    return {(each.task, each.place): each.count for each in groups.scan(control, "q")}


def test_tasks_of_one_name_exception_and_place_are_a_group(
    scripts: Scripts, control: RedisClient
) -> None:
    die(scripts, reason_of(3), message(1), message(2), message(3, name="other"))
    die(scripts, reason_of(4), message(4, opts='{"p":5}'))
    die(scripts, dead_reason("worker_lost", "3 workers were lost"), message(5))
    scripts.enqueue(b"no message")
    scripts.exchange("c", 1)
    assert len(counts(control)) == 5
    found = {each.digest: each for each in groups.scan(control, "q")}
    assert {
        (each.task, each.reason, each.exception, each.place, each.count) for each in found.values()
    } == {
        ("n", "failed", "KeyError", "shop/tasks.py:3 in send", 2),
        ("other", "failed", "KeyError", "shop/tasks.py:3 in send", 1),
        ("n", "failed", "KeyError", "shop/tasks.py:4 in send", 1),
        ("n", "worker_lost", "", "", 1),
        ("", "malformed", "", "", 1),
    }
    [largest] = [each for each in found.values() if each.count == 2]
    page = dead.read_page(control, "q", group=largest.digest)
    assert {task.entry for task in page.tasks} == {field(message(1)), field(message(2))}
    assert {(task.exception, task.place) for task in page.tasks} == {
        ("KeyError", "shop/tasks.py:3 in send")
    }
    died = [task.died_at for task in page.tasks]
    assert (largest.oldest, largest.newest) == (min(died), max(died))
    assert groups.count_ungrouped(control, "q") == 0
    assert list(groups.read_page(control, "q").groups) == list(found.values())


def test_ten_of_a_group_are_replayed_and_then_the_rest(
    scripts: Scripts, control: RedisClient
) -> None:
    die(scripts, reason_of(3), *(message(number) for number in range(1, 31)))
    die(scripts, reason_of(4), *(message(number) for number in range(31, 36)))
    assert len(counts(control)) == 2
    [digest] = [each.digest for each in groups.scan(control, "q") if each.count == 30]
    for limit, left in ((10, 20), (None, None)):
        done = list(replay(lambda: control, "q", group=digest, limit=limit))
        assert {one.verdict for one in done} == {"requeued"}
        assert counts(control).get(("n", "shop/tasks.py:3 in send")) == left
    assert counts(control) == {("n", "shop/tasks.py:4 in send"): 5}
    assert len(scripts.list("pending")) == 30


def test_the_index_is_true_after_any_mix_of_changes(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    chance = random.Random(7)
    number, waiting = 0, list[bytes]()
    for _ in range(60):
        match chance.choice(["die", "die", "replay", "delete", "trim", "again"]):
            case "die":
                number += 3
                raw = [message(number + at, name=chance.choice("ab")) for at in range(3)]
                die(scripts, reason_of(chance.randint(1, 3)), *raw)
            case "replay":
                list(replay(lambda: control, "q", limit=2))
                waiting += scripts.list("pending")
                redis.delete(scripts.key("pending"))
            case "delete":
                some = dead.read_page(control, "q", limit=2).tasks
                deleting.delete_dead(
                    control, "q", [(task.entry, task.died_at * 1_000) for task in some]
                )
            case "trim":
                scripts.trim_dead(20)
            case "again":
                again, waiting = waiting[:2], waiting[2:]
                die(scripts, reason_of(4), *again)
        expected: Counter[tuple[str, str]] = Counter()
        for entry in scripts.dead():
            task = dead.show(control, "q", entry)
            parts = None if task is None else task.parse()
            assert task is not None and parts is not None
            expected[parts["name"], task.place] += 1
        assert counts(control) == expected
    assert sum(counts(control).values()) > 5
    list(purge.purge(control, "q", "dead"))
    assert counts(control) == {} and redis.keys("fluxqueue:{q}:dead*") == []


def test_a_task_that_an_older_release_has_removed_is_not_shown(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    die(scripts, reason_of(3), message(1), message(2))
    assert sum(counts(control).values()) == 2
    for kind, remove in (("dead", redis.zrem), ("dead:messages", redis.hdel)):
        remove(scripts.key(kind), field(message(1)))
    redis.hdel(scripts.key("dead:reasons"), field(message(1)))
    [group] = groups.scan(control, "q", refresh=False)
    [task] = dead.read_page(control, "q", group=group.digest).tasks
    assert task.entry == field(message(2))


def test_garbage_in_the_index_keeps_no_task_in_the_dead_set(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    die(scripts, reason_of(3), message(1))
    assert counts(control) == {("n", "shop/tasks.py:3 in send"): 1}
    for kind in ("dead:groups", "dead:grouped"):
        redis.delete(scripts.key(kind))
        redis.set(scripts.key(kind), "text")
    assert not groups.add_new(control, "q")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        list(groups.scan(control, "q"))
    assert [one.verdict for one in replay(lambda: control, "q")] == ["requeued"]
    assert len(scripts.list("pending")) == 1
    redis.flushdb()


def test_no_task_is_left_out_whatever_the_clock_and_older_releases_do(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    die(scripts, reason_of(3), message(1), message(2), message(3))
    assert sum(counts(control).values()) == 3
    # One that died before the others came later.
    die(scripts, reason_of(4), message(4))
    redis.zadd(scripts.key("dead"), {field(message(4)): 1})
    assert sum(counts(control).values()) == 4
    for number in (1, 2):
        redis.zrem(scripts.key("dead"), field(message(number)))
        redis.hdel(scripts.key("dead:messages"), field(message(number)))
        redis.hdel(scripts.key("dead:reasons"), field(message(number)))
    # As many die as have gone.
    die(scripts, reason_of(5), message(5), message(6))
    by_line = {3: 1, 4: 1, 5: 2}
    assert counts(control) == {
        ("n", f"shop/tasks.py:{line} in send"): count for line, count in by_line.items()
    }
    assert groups.count_ungrouped(control, "q") == 0
    assert len(scripts.dead()) == 4


def test_without_a_look_no_task_writes_the_index(scripts: Scripts, redis: Any) -> None:
    die(scripts, reason_of(3), message(1), message(2))
    assert redis.keys("fluxqueue:{q}:dead:group*") == []
