"""Dead tasks are enqueued again: some, or all that are chosen, at a rate."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from fluxqueue_control import dead, job_steps, jobs, purge
from fluxqueue_control.candidates import Candidate
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.requeue import Requeued, replay, replay_each, requeue
from fluxqueue_core import Settings, dead_reason, key
from support.scripts import DAY, Outcome, Scripts, field, message

# Redis 6.2 and Valkey answer these commands too.
pytestmark = pytest.mark.versions

DIGEST = "0123456789abcdef" * 2


def die(scripts: Scripts, *raw: bytes, reason: str = "failed") -> None:
    why = dead_reason(reason, "it broke")
    scripts.claim("c", *raw)
    scripts.exchange("c", outcomes=[Outcome(field(one), "dead", why, "1") for one in raw])


def read(control: RedisClient, limit: int = 100) -> list[dead.DeadTask]:
    """The oldest first."""
    return list(dead.read_page(control, "q", limit=limit).tasks)[::-1]


def verdicts(done: list[Requeued]) -> list[str]:
    return [one.verdict for one in done]


def test_a_task_begins_from_its_first_attempt_with_all_that_belongs_to_it(
    scripts: Scripts, control: RedisClient
) -> None:
    opts = f'{{"p":5,"r":60000,"u":"{DIGEST}:60000"}}'
    counted = opts.replace("}", ',"s":3,"b":1}')
    die(scripts, message(1, retries=3, deliveries=1, opts=counted))
    [task] = read(control)
    assert verdicts(requeue(control, "q", [task])) == ["requeued"]
    assert scripts.list("pending") == [message(1, requeues=1, opts=opts)]
    assert scripts.lock(DIGEST) == {b"id": message(1)[13:49]}
    assert verdicts(requeue(control, "q", [task])) == ["absent"]


def test_each_task_has_its_verdict_in_order(scripts: Scripts, control: RedisClient) -> None:
    held = message(2, opts=f'{{"u":"{DIGEST}:60000"}}')
    expired = message(3, opts='{"x":1000000000000}')
    for raw in (message(1, retries=3), held, expired, message(4)):
        die(scripts, raw)
    die(scripts, message(5), reason="duplicate")
    scripts.enqueue(b"garbage")
    scripts.exchange("c", 1)
    scripts.redis.hset(scripts.key("unique", DIGEST), "id", message(9)[13:49])
    found = {task.entry: task for task in read(control)}
    ordered = [found[field(raw)] for raw in (message(1, retries=3), held, expired, message(4))]
    ordered += [found[field(message(5))], next(t for t in found.values() if t.parse() is None)]
    scripts.redis.hdel(scripts.key("dead:messages"), field(message(4)))
    done = requeue(control, "q", ordered)
    assert verdicts(done) == ["requeued", "held", "expired", "absent", "duplicate", "unreadable"]
    assert [one.task for one in done] == ordered
    assert done[1].holder == message(9)[13:49].decode()
    again = [message(n, requeues=1) for n in (1, 3)]
    assert scripts.list("pending") == again[:1]
    assert verdicts(requeue(control, "q", ordered[2:3], keep_expiry=False)) == ["requeued"]
    assert scripts.list("pending") == again


def test_a_task_that_goes_while_a_page_reads_it_is_absent(
    scripts: Scripts, control: RedisClient
) -> None:
    die(scripts, message(1), message(2), message(3))
    tasks = read(control)
    # Another operator was faster than the second call of the page, which reads messages.
    gone, damaged, there = (replace(task, message=None, size=0) for task in tasks)
    assert verdicts(requeue(control, "q", tasks[:1])) == ["requeued"]
    scripts.redis.hdel(scripts.key("dead:messages"), damaged.entry)
    assert dead.read_whole(control, "q", gone) is None
    job = jobs.start(control, "q", "move", "dead", target="other")
    candidates = [Candidate(None, task) for task in (gone, damaged)]
    assert job_steps.apply(control, "q", job, candidates) == ["absent", "unreadable"]
    found = requeue(control, "q", [gone, damaged, there])
    assert verdicts(found) == ["absent", "unreadable", "requeued"]


def test_a_message_that_a_page_leaves_out_is_requeued_whole(
    scripts: Scripts, control: RedisClient
) -> None:
    args = b'["' + b"x" * dead.SHORT + b'"]'
    die(scripts, message(1, args=args))
    [task] = read(control)
    assert task.message is None
    assert verdicts(requeue(control, "q", [task])) == ["requeued"]
    assert scripts.list("pending") == [message(1, requeues=1, args=args)]


def test_many_are_requeued_in_bounded_calls(scripts: Scripts, control: RedisClient) -> None:
    for start in range(0, 500, 100):
        die(scripts, *(message(n, retries=3) for n in range(start, start + 100)))
    args = b'["' + b"x" * 10_000 + b'"]'
    die(scripts, *(message(n, args=args) for n in range(600, 640)))
    done = list(replay(lambda: control, "q"))
    assert len(done) == 540 and set(verdicts(done)) == {"requeued"}
    expected = {message(n, requeues=1) for n in range(500)}
    expected |= {message(n, requeues=1, args=args) for n in range(600, 640)}
    assert set(scripts.list("pending")) == expected
    assert scripts.dead() == {} and list(replay(lambda: control, "q")) == []


def test_a_replay_takes_what_is_chosen_up_to_its_limit(
    scripts: Scripts, control: RedisClient
) -> None:
    for number in range(20):
        die(scripts, message(number), reason="failed" if number % 2 else "rejected")
    done = list(replay(lambda: control, "q", wanted=lambda task: task.reason == "failed", limit=3))
    assert len(done) == 3 and len(scripts.dead()) == 17
    # The youngest first.
    assert scripts.list("pending") == [message(n, requeues=1) for n in (19, 17, 15)]


def test_an_attempt_before_the_death_does_not_settle_the_requeued_task(
    scripts: Scripts, control: RedisClient
) -> None:
    die(scripts, message(1))
    assert verdicts(requeue(control, "q", read(control))) == ["requeued"]
    # The reply about the death was lost, and a late BLMOVE of the same worker takes the task.
    pending, inbox = scripts.key("pending"), scripts.key("inbox", "c")
    assert scripts.redis.lmove(pending, inbox, "RIGHT", "LEFT") is not None
    assert scripts.open("d", ["c"], [field(message(1))]) == []
    why = dead_reason("failed", "it broke")
    scripts.exchange("d", outcomes=[Outcome(field(message(1)), "dead", why, "1")])
    assert scripts.dead() == {} and scripts.list("pending") == [message(1, requeues=1)]


@pytest.mark.parametrize("by_name", [False, True])
def test_a_replay_is_never_faster_than_its_rate(
    scripts: Scripts, control: RedisClient, monkeypatch: pytest.MonkeyPatch, by_name: bool
) -> None:
    die(scripts, *(message(n) for n in range(100)))
    clock = [100.0]
    starts: list[tuple[float, int]] = []

    def wait(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("fluxqueue_control.requeue.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("fluxqueue_control.requeue.time.sleep", wait)
    done = replay(lambda: control, "q", rate=50)
    if by_name:
        done = replay_each(lambda: control, "q", read(control), rate=50)
    for number, _ in enumerate(done, 1):
        starts.append((clock[0] - 100.0, number))
    # At most the tasks of one call, 5, are ahead of the rate. Sums of floats are not exact.
    assert len(starts) == 100
    assert all(number <= passed * 50 + 5 + 1e-6 for passed, number in starts)


def test_two_operators_requeue_each_task_once(scripts: Scripts, redis_url: str, redis: Any) -> None:
    for start in range(0, 400, 100):
        die(scripts, *(message(n, retries=1) for n in range(start, start + 100)))
    done: list[list[Requeued]] = [[], [], []]

    def operate(own: list[Requeued]) -> None:
        client = RedisClient(Settings(redis_url), 5.0)
        own += replay(lambda: client, "q")
        client.close()

    threads = [threading.Thread(target=operate, args=(own,)) for own in done]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moved = [one.task.entry for own in done for one in own if one.verdict == "requeued"]
    assert len(moved) == len(set(moved)) == 400
    expected = sorted(message(n, requeues=1) for n in range(400))
    assert sorted(scripts.list("pending")) == expected
    assert scripts.stats()["requeued"] == 400


def test_a_purge_removes_what_waits_with_its_results(
    scripts: Scripts, control: RedisClient
) -> None:
    kept = [message(n, opts='{"r":60000}') for n in range(3)]
    ranked = [message(n, opts='{"p":5}') for n in range(10, 13)]
    scripts.enqueue(*kept, *(message(n) for n in range(100, 1_300)))
    scripts.enqueue_ranked(*ranked)
    scripts.redis.rpush(scripts.key("suspects"), message(20, deliveries=2))
    scripts.redis.zadd(scripts.key("delayed"), {message(30): scripts.now() + DAY})
    assert purge.count(control, "q", "waiting") == 1_207
    *_, removed = purge.purge(control, "q", "waiting")
    assert removed == 1_207 == scripts.stats()["cancelled"]
    assert not scripts.redis.exists(*(key(k, "q") for k in ("pending", "suspects", "prioritized")))
    assert len(scripts.redis.keys("*:result:*")) == 3
    assert list(scripts.delayed()) == [message(30)]
    assert list(purge.purge(control, "q", "waiting")) == []
    assert [purge.count(control, "q", part) for part in purge.PARTS] == [0, 1, 0]


def test_a_purge_of_the_delayed_and_of_the_dead(scripts: Scripts, control: RedisClient) -> None:
    later = {message(n): scripts.now() + DAY + n for n in range(700)}
    scripts.redis.zadd(scripts.key("delayed"), later)
    die(scripts, *(message(n) for n in range(1_000, 1_030)))
    assert list(purge.purge(control, "q", "delayed"))[-1] == 700
    assert scripts.delayed() == {} and len(scripts.dead()) == 30
    assert list(purge.purge(control, "q", "dead"))[-1] == 30
    assert scripts.dead() == {} and scripts.stats() == {"cancelled": 700, "dead": 30}


def test_a_purge_leaves_what_workers_have_and_ends_though_tasks_come(
    scripts: Scripts, control: RedisClient
) -> None:
    scripts.enqueue(*(message(n) for n in range(30)))
    run = purge.purge(control, "q", "waiting")
    assert next(run) == 10
    scripts.open("c")
    taken = scripts.exchange("c", 5).claimed
    scripts.enqueue(*(message(n) for n in range(100, 200)))
    *_, removed = run
    # As many as there were when it began.
    assert removed == 30
    assert set(scripts.held("c").values()) == set(taken) and len(taken) == 5
    assert scripts.list("pending") == [message(n) for n in range(105, 200)]
