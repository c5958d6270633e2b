"""Jobs: all tasks that are chosen are changed once, whatever happens to the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from fluxqueue_control import audit, dead, groups, job_steps, jobs, tasks
from fluxqueue_control.jobs import JobIsRunning, Selection
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.requeue import replay
from fluxqueue_core import Settings, dead_reason
from fluxqueue_core.errors import ConfigurationError
from support.dead_tasks import die_many
from support.redis_cluster import RedisCluster
from support.scripts import DAY, Outcome, Scripts, field, message, messages
from support.waiting import wait_until

pytestmark = pytest.mark.versions
WHY = dead_reason("failed", "KeyError: 1")


def die(scripts: Scripts, *raw: bytes, reason: bytes = WHY) -> None:
    scripts.claim("c", *raw)
    scripts.exchange("c", outcomes=[Outcome(field(one), "dead", reason, "1") for one in raw])


def ids(of: Iterable[bytes]) -> list[int]:
    """The numbers of these messages."""
    return sorted(int(raw[37:49], 16) for raw in of)


def perform(control: RedisClient, *words: Any, **rest: Any) -> jobs.Job:
    """Runs a job to its end."""
    job = jobs.start(control, "q", *words, **rest)
    return list(jobs.run(lambda: control, "q", job))[-1]


def numbered() -> list[bytes]:
    return [message(number, name="ab"[number % 2]) for number in range(1, 11)]


def test_dead_tasks_are_replayed_deleted_and_counted(
    scripts: Scripts, control: RedisClient
) -> None:
    die(scripts, *numbered())
    die(scripts, message(11, name="a"), reason=dead_reason("rejected", "no"))
    dry = perform(control, "replay", "dead", Selection(task="a", reason="failed"), dry_run=True)
    assert (dry.state, dry.seen, dict(dry.outcome)) == ("done", 11, {"chosen": 5})
    assert audit.read_page(control, "q").entries == []
    done = perform(control, "replay", "dead", Selection(task="a", reason="failed"), limit=3)
    assert (done.state, dict(done.outcome)) == ("done", {"done": 3})
    done = perform(control, "delete", "dead", Selection(task="a"))
    assert dict(done.outcome) == {"done": 3}
    assert len(scripts.list("pending")) == 3 and len(scripts.dead()) == 5
    entries = audit.read_page(control, "q").entries[::-1]
    assert [(entry.what, dict(entry.outcome)) for entry in entries] == [
        ("replay job", {"begun": 1}),
        ("replay job", {"done": 3, "ended": 1}),
        ("delete job", {"begun": 1}),
        ("delete job", {"done": 3, "ended": 1}),
    ]


def test_dead_tasks_larger_than_a_page_shows_are_chosen(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    large = json.dumps([{"shop": 7, "text": "x" * 20_000}]).encode()
    trace = "Traceback\n" + "  line\n" * 4_000 + "KeyError: 1\n"
    long = dead_reason("rejected", "KeyError: 1", trace)
    assert len(long) > dead.SHORT
    die(scripts, *(message(n, name="ab"[n % 2], args=large) for n in range(1, 5)))
    die(scripts, message(5, name="a"), reason=long)
    of_name = perform(control, "delete", "dead", Selection(task="a"), dry_run=True)
    assert of_name.outcome["chosen"] == 3
    of_shop = Selection(task="a", argument="0.shop", value=7)
    assert dict(perform(control, "move", "dead", of_shop, target="other").outcome) == {"done": 2}
    assert ids(Scripts(redis, "other").delayed()) == [2, 4]
    assert dict(perform(control, "replay", "dead", Selection(reason="rejected")).outcome) == {
        "done": 1
    }
    done = replay(lambda: control, "q", wanted=lambda task: task.parse() is not None)
    assert [one.verdict for one in done] == ["requeued"] * 2
    assert ids(scripts.list("pending")) == [1, 3, 5]


def test_tasks_that_wait_are_deleted_wherever_they_are(
    scripts: Scripts, redis: Any, control: RedisClient
) -> None:
    plain = [message(number, name="ab"[number % 2]) for number in range(1, 1_001)]
    scripts.enqueue(*plain)
    scripts.enqueue_ranked(*(message(n, name="ab"[n % 2], opts='{"p":5}') for n in (2001, 2002)))
    redis.rpush(scripts.key("suspects"), message(3001, deliveries=2, name="b"))
    done = perform(control, "delete", "waiting", Selection(task="b"))
    assert dict(done.outcome) == {"done": 502} and done.state == "done"
    assert done.seen >= 1_003
    assert all(b'"name":"a"' in raw for raw in scripts.list("pending"))
    assert len(scripts.list("pending")) == 501 and scripts.list("suspects") == []
    assert scripts.stats()["cancelled"] == 502


def test_tasks_deep_in_a_long_list_are_ended_by_their_workers(
    scripts: Scripts, control: RedisClient, monkeypatch: Any
) -> None:
    monkeypatch.setattr(job_steps, "REACH", 150)
    monkeypatch.setattr(tasks, "REACH", 50)
    monkeypatch.setattr(tasks, "_MARGIN", 100)
    scripts.enqueue(*messages(range(300)))
    moved = perform(control, "move", "waiting", target="other")
    assert dict(moved.outcome) == {"done": 100, "too_deep": 200}
    scripts.enqueue(*messages(range(300, 400)))
    middle = scripts.list("pending")[150]
    assert tasks.delete(control, "q", middle[13:49].decode()) == "requested"
    assert tasks.delete(control, "q", scripts.list("pending")[0][13:49].decode()) == "deleted"
    [entry] = audit.read_page(control, "q", limit=2).entries[1:]
    assert (entry.what, entry.on) == ("cancel", middle[13:49].decode())
    done = perform(control, "delete", "waiting")
    assert done.outcome["done"] >= 100 and done.outcome["requested"] >= 100
    left = scripts.list("pending")
    assert len(left) == 299 - done.outcome["done"]
    assert {raw[13:49] for raw in left} <= {*scripts.redis.zrange(scripts.key("cancelled"), 0, -1)}
    # A worker that claims one is told that it is cancelled.
    scripts.open("c")
    got = scripts.exchange("c", 1)
    assert {raw[13:49] for raw in got.claimed} == {*(got.cancelled or ())} != set()


def test_delayed_tasks_run_now_once(scripts: Scripts, redis: Any, control: RedisClient) -> None:
    later = {raw: scripts.now() + DAY for raw in numbered()}
    redis.zadd(scripts.key("delayed"), later)
    done = perform(control, "replay", "delayed", Selection(task="a"))
    assert dict(done.outcome) == {"done": 5}
    assert len(scripts.list("pending")) == 5 and len(scripts.delayed()) == 5
    assert dict(perform(control, "cancel", "delayed").outcome) == {"done": 5}
    assert scripts.delayed() == {}


def test_running_tasks_are_cancelled_by_their_workers(
    scripts: Scripts, control: RedisClient
) -> None:
    scripts.claim("c", *numbered())
    scripts.claim("d", message(12, name="a"))
    done = perform(control, "cancel", "running", Selection(task="a"))
    assert dict(done.outcome) == {"done": 6}
    of_a = {raw[13:49] for raw in numbered() if b'"name":"a"' in raw}
    assert set(scripts.exchange("c").cancelled or ()) == of_a
    assert scripts.exchange("d").cancelled == [message(12)[13:49]]


def test_tasks_move_to_another_queue(scripts: Scripts, redis: Any, control: RedisClient) -> None:
    other = Scripts(redis, "other")
    die(scripts, message(1, retries=3), message(2, opts='{"l":"' + "1" * 32 + ':1:0:1"}'))
    scripts.enqueue(message(3), message(4, opts='{"r":60000}'), message(5, opts='{"p":5}'))
    due = scripts.now() + DAY
    redis.zadd(scripts.key("delayed"), {message(6): due, message(7): due})
    redis.zadd(other.key("delayed"), {message(7): due})
    redis.zadd(scripts.key("cancelled"), {message(3)[13:49]: scripts.now()})
    assert dict(perform(control, "move", "dead", target="other").outcome) == {
        "done": 1,
        "bound": 1,
    }
    assert dict(perform(control, "move", "waiting", target="other").outcome) == {
        "done": 1,
        "bound": 1,
        "cancelled": 1,
    }
    assert dict(perform(control, "move", "delayed", target="other").outcome) == {
        "done": 1,
        "duplicate": 1,
    }
    assert ids(other.delayed()) == [1, 5, 6, 7]
    assert other.delayed()[message(6)] == due
    assert set(scripts.list("pending")) == {message(3), message(4, opts='{"r":60000}')}
    assert set(scripts.dead()) == {field(message(2))}
    other.promote()
    assert ids(other.list("pending")) == [1, 5]


def test_a_move_that_can_not_be_one_step_is_refused(
    control: RedisClient, redis_cluster: RedisCluster
) -> None:
    for target, text in (("q", "another queue"), ("a}b", "queue name")):
        with pytest.raises(ConfigurationError, match=text):
            jobs.start(control, "q", "move", "dead", target=target)
    settings = Settings(redis_cluster.url)
    client = RedisClient(settings, 5.0, settings.nodes[0])
    with pytest.raises(ConfigurationError, match="cluster"):
        jobs.start(client, "q", "move", "dead", target="r")
    client.close()


def test_a_job_that_makes_no_sense_is_refused(control: RedisClient) -> None:
    wrong: list[tuple[Any, Any, Selection, str]] = [
        ("replay", "waiting", Selection(), "does not go with"),
        ("nothing", "dead", Selection(), "does not go with"),
        ("delete", "waiting", Selection(reason="failed"), "only dead ones"),
        ("delete", "dead", Selection(argument="0", value=object()), "not JSON"),
    ]
    for verb, place, selection, text in wrong:
        with pytest.raises(ConfigurationError, match=text):
            jobs.start(control, "q", verb, place, selection)
    assert jobs.read_last(control, "q") == []


def test_another_process_sees_a_job_and_stops_it(scripts: Scripts, control: RedisClient) -> None:
    die(scripts, *(message(number) for number in range(1, 301)))
    job = jobs.start(control, "q", "replay", "dead", rate=2_000)
    steps = jobs.run(lambda: control, "q", job)
    first = next(steps).outcome["done"]
    assert 0 < first <= 100
    seen = jobs.show(control, "q", job.id)
    assert seen is not None and (seen.state, dict(seen.outcome)) == ("running", {"done": first})
    assert seen.seen == first
    with pytest.raises(JobIsRunning, match="resume it 15 s after its last progress"):
        next(jobs.resume(lambda: control, "q", job.id))
    assert jobs.stop(control, "q", job.id)
    last = list(steps)[-1]
    assert last.state == "stopped" and first <= last.outcome["done"] < 300
    assert not jobs.stop(control, "q", job.id)
    assert list(jobs.resume(lambda: control, "q", job.id))[-1].outcome["done"] == 300
    assert [each.state for each in jobs.read_last(control, "q")] == ["done"]
    with pytest.raises(LookupError):
        next(jobs.resume(lambda: control, "q", job.id))
    assert len(set(scripts.list("pending"))) == len(scripts.list("pending")) == 300


def test_two_processes_of_one_job_double_nothing(scripts: Scripts, control: RedisClient) -> None:
    die(scripts, *(message(number) for number in range(1, 301)))
    job = jobs.start(control, "q", "replay", "dead")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            list(jobs.run(lambda: control, "q", job))
        except JobIsRunning as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) <= 2
    list(jobs.run(lambda: control, "q", job))
    assert len(scripts.list("pending")) == 300 and scripts.dead() == {}


RUNNER = """
import sys
from fluxqueue_control import jobs
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings

client = RedisClient(Settings(sys.argv[1]), 60.0)
chosen = jobs.Selection(task="n", group=sys.argv[2])
job = jobs.start(client, "q", "replay", "dead", chosen, rate=50_000)
print(job.id, flush=True)
for _ in jobs.run(lambda: client, "q", job):
    pass
"""


def test_a_killed_replay_among_100_000_goes_on_and_doubles_nothing(
    scripts: Scripts, redis: Any, redis_url: str, control: RedisClient, monkeypatch: Any
) -> None:
    chosen = die_many(scripts, 100_000)
    group, rest = sorted(groups.scan(control, "q"), key=lambda each: each.count)
    assert (group.count, rest.count) == (10_000, 90_000)
    newest = dead.read_page(control, "q", group=group.digest, limit=1).tasks[0]
    assert newest.died_at == group.newest
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, redis_url, group.digest], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    job_id = runner.stdout.readline().strip()
    wait_until(lambda: redis.llen(scripts.key("pending")) > 2_000)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    runner.stdout.close()
    killed = jobs.show(control, "q", job_id)
    assert killed is not None and killed.state == "running"
    assert killed.outcome["done"] < 10_000
    # Nothing writes progress any more; the test does not wait until that is certain.
    monkeypatch.setattr(jobs, "ABANDONED", -1e9)
    last = list(jobs.resume(lambda: control, "q", job_id))[-1]
    assert last.state == "done"
    pending = redis.lrange(scripts.key("pending"), 0, -1)
    assert len(pending) == 10_000 and {raw[13:49] for raw in pending} == chosen
    assert [each.count for each in groups.scan(control, "q")] == [90_000]
    assert redis.zcard(scripts.key("dead")) == 90_000
