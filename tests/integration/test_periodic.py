"""Periodic tasks from the call to the queue, with real schedulers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue.errors import ConfigurationError, FluxQueueWarning
from fluxqueue_control import periodic as control
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, key
from fluxqueue_core.periodic.record import run_id, template_id
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until

QUEUE = "q"


@pytest.fixture
def app(redis_url: str, redis: Any) -> FluxQueue:
    redis.sadd(key("queues"), QUEUE)
    return FluxQueue(redis_url)


@pytest.fixture
def work(app: FluxQueue) -> Any:
    @app.task(queue=QUEUE)
    def work(number: int = 0) -> None: ...

    return work


@pytest.fixture
def client(redis_url: str) -> Any:
    client = RedisClient(Settings(redis_url), 5.0)
    yield client
    client.close()


def moments(redis: Any) -> list[int]:
    """The moments of the runs in the queue, oldest first."""
    ids = [raw[13:49].decode() for raw in redis.lrange(key("pending", QUEUE), 0, -1)[::-1]]
    return [int(task_id[:8] + task_id[9:13], 16) for task_id in ids]


def plan(redis: Any, entry: str, ago: int) -> int:
    """As if the next moment of an entry with whole seconds had been `ago` seconds ago."""
    seconds, _ = redis.time()
    moment = (int(seconds) - ago) * 1_000
    redis.zadd(key("periodic:due", QUEUE), {entry: moment})
    return moment


def test_schedule_adds_changes_and_removes(app: FluxQueue, work: Any, redis: Any) -> None:
    assert app.schedule("a", work.call(1), every=5) == "added"
    assert app.schedule("a", work.call(1), every=5) == "unchanged"
    assert app.schedule("a", work.call(2), every=5) == "changed"
    assert app.schedule("a", work.call(2), "0 9 * * *", tz="Asia/Tokyo") == "changed"
    assert redis.hkeys(key("periodic", QUEUE)) == [b"a"]
    assert app.unschedule("a", queue=QUEUE) is True
    assert app.unschedule("a", queue=QUEUE) is False
    kinds = ("periodic", "periodic:messages", "periodic:due", "periodic:runs")
    assert redis.exists(*(key(kind, QUEUE) for kind in kinds)) == 0


def test_on_a_loop_there_is_a_form_to_await(app: FluxQueue, work: Any) -> None:
    async def main() -> None:
        assert await app.schedule_async("a", work.call(1), every=5) == "added"
        assert await app.unschedule_async("a", queue=QUEUE) is True
        with pytest.warns(FluxQueueWarning, match="await fluxqueue.schedule_async"):
            app.schedule("a", work.call(1), every=5)

    asyncio.run(main())


def test_each_moment_comes_once_from_two_schedulers(
    app: FluxQueue, work: Any, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        SchedulerProcess(folders[0], redis_url),
        SchedulerProcess(folders[1], redis_url) as scheduler,
    ):
        app.schedule("a", work.call(1), every=1, catch_up=100)
        app.schedule("b", work.options(priority=4).call(2), every=1, catch_up=100)
        wait_until(lambda: redis.llen(key("pending", QUEUE)) >= 5, what=scheduler.output)
        app.unschedule("a", queue=QUEUE)
        app.unschedule("b", queue=QUEUE)
    found = moments(redis)
    ids = [raw[13:49].decode() for raw in redis.lrange(key("pending", QUEUE), 0, -1)]
    ids += [raw[13:49].decode() for raw in redis.zrange(key("prioritized", QUEUE), 0, -1)]
    assert len(set(ids)) == len(ids)
    of_a = {run_id(template_id("", QUEUE, "a"), moment): moment for moment in found}
    seconds = sorted(moment for task_id, moment in of_a.items() if task_id in ids)
    assert seconds == list(range(seconds[0], seconds[-1] + 1_000, 1_000))


@pytest.mark.parametrize(
    ("catch_up", "ago", "back"),
    [
        ("latest", 300, [0]),
        ("none", 300, [0]),  # it is not a minute late
        (3, 300, [2, 1, 0]),
        (100, 5, [5, 4, 3, 2, 1, 0]),
    ],
)
def test_missed_moments_are_caught_up_as_the_option_says(
    app: FluxQueue,
    work: Any,
    redis: Any,
    client: RedisClient,
    redis_url: str,
    tmp_path: Path,
    catch_up: Any,
    ago: int,
    back: list[int],
) -> None:
    app.schedule("a", work.call(1), every=1, catch_up=catch_up)
    first = plan(redis, "a", ago)
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.llen(key("pending", QUEUE)), what=scheduler.output)
        found = moments(redis)[: len(back)]
        wait_until(
            lambda: (shown := control.show(client, QUEUE, "a")) and shown.runs,
            what=scheduler.output,
        )
    newest = found[-1]
    assert found == [newest - 1_000 * n for n in back]
    shown = control.show(client, QUEUE, "a")
    assert shown is not None
    kinds = [run.kind for run in shown.runs[::-1]]
    assert kinds[: len(back)] == (["run"] * len(back) if found[0] == first else kinds[: len(back)])
    assert ("missed" in kinds) == (found[0] != first)


def test_a_run_that_is_more_than_a_minute_late_is_left_out_if_none_is_caught_up(
    app: FluxQueue, work: Any, redis: Any, client: RedisClient, redis_url: str, tmp_path: Path
) -> None:
    app.schedule("a", work.call(1), every=3_600, catch_up="none")
    app.schedule("b", work.call(1), every=3_600)
    seconds, _ = redis.time()
    hour = int(seconds) // 3_600 * 3_600_000
    redis.zadd(key("periodic:due", QUEUE), {"a": hour - 7_200_000, "b": hour - 7_200_000})
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: moments(redis), what=scheduler.output)
        wait_until(
            lambda: all(
                (shown := control.show(client, QUEUE, entry)) and shown.runs for entry in "ab"
            )
        )
    missed = control.show(client, QUEUE, "a")
    assert missed is not None and missed.runs[-1].kind == "missed"
    if int(seconds) % 3_600 > 65:  # else the last moment is not late
        assert moments(redis) == [hour]
        assert [run.kind for run in missed.runs] == ["missed"]


def test_pause_resume_and_a_run_by_hand(
    app: FluxQueue, work: Any, redis: Any, client: RedisClient, redis_url: str, tmp_path: Path
) -> None:
    app.schedule("a", work.call(1), every=1, expires=None)
    assert control.pause(client, QUEUE, "a") is True
    assert control.pause(client, QUEUE, "b") is False
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        app.schedule("b", work.call(2), every=1)
        wait_until(lambda: redis.llen(key("pending", QUEUE)) >= 2, what=scheduler.output)
        shown = control.show(client, QUEUE, "a")
        assert shown is not None and shown.paused and shown.next is None and shown.runs == []
        task_id = control.run_now(client, QUEUE, "a")
        assert task_id is not None
        assert control.run_now(client, QUEUE, "c") is None
        ids = [raw[13:49].decode() for raw in redis.lrange(key("pending", QUEUE), 0, -1)]
        assert ids.count(task_id) == 1
        shown = control.show(client, QUEUE, "a")
        assert shown is not None and [run.kind for run in shown.runs] == ["by hand"]
        assert control.resume(client, QUEUE, "a") is True

        def runs() -> int:
            shown = control.show(client, QUEUE, "a")
            return 0 if shown is None else len(shown.runs)

        wait_until(lambda: runs() >= 3, what=scheduler.output)
        shown = control.show(client, QUEUE, "a")
        assert shown is not None and shown.next is not None
        assert shown.upcoming(3) == [shown.next, shown.next + 1, shown.next + 2]
    assert control.remove(client, QUEUE, "a") == "removed"
    assert control.remove(client, QUEUE, "a") == "absent"


def test_pages_have_each_periodic_task(app: FluxQueue, work: Any, client: RedisClient) -> None:
    wanted = {f"entry {n}" for n in range(300)}
    for entry in wanted:
        app.schedule(entry, work.call(1), every=60)
    found: set[str] = set()
    cursor: int | None = None
    while True:
        page = control.read_page(client, QUEUE, cursor)
        found |= {task.id for task in page.tasks}
        cursor = page.cursor
        if cursor is None:
            break
    assert found == wanted


def test_a_bad_record_stops_only_itself(
    app: FluxQueue, work: Any, redis: Any, client: RedisClient, redis_url: str, tmp_path: Path
) -> None:
    for entry in ("text", "zone", "rules", "good"):
        app.schedule(entry, work.call(1), every=1)
    records = key("periodic", QUEUE)
    head = redis.hget(records, "good")[:26]
    redis.hset(records, "text", b"\xff\xfe")
    redis.hset(records, "rules", head + b'{"task":"work","every":1000,"later":1}')
    redis.hset(records, "zone", head + b'{"task":"work","cron":"0 9 * * *","tz":"Mars/Base"}')
    redis.hset(records, b"\xff", head + b"{}")
    for n, odd in enumerate((b'"text"', b"[]", b'{"task":"work","every":0}')):
        redis.hset(records, f"odd {n}", head + odd)
        redis.zadd(key("periodic:due", QUEUE), {f"odd {n}": 1_000})
    for entry in ("never", "always"):
        app.schedule(entry, work.call(1), every=1)
    redis.zadd(key("periodic:due", QUEUE), {"never": "inf", "always": "-inf"})
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.llen(key("pending", QUEUE)) >= 2, what=scheduler.output)
        for entry in ("text", "zone", "rules", "odd 0", "odd 1", "odd 2", "never", "always"):
            scheduler.wait_for("periodic.failed", queue=QUEUE, periodic=entry)
    assert {task.id for task in control.read_page(client, QUEUE).tasks} >= {"good", "text"}


def test_a_list_of_another_type_stops_one_queue(
    app: FluxQueue, work: Any, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    redis.sadd(key("queues"), "other")
    app.schedule("a", work.call(1), every=1)
    app.schedule("a", work.options(queue="other").call(1), every=1)
    redis.set(key("pending", "other"), "x")
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.llen(key("pending", QUEUE)) >= 2, what=scheduler.output)
        scheduler.wait_for("queue.failed", queue="other", doing="tick")
        redis.delete(key("pending", "other"))
        wait_until(lambda: redis.llen(key("pending", "other")), what=scheduler.output)


def test_an_id_that_code_declares_can_not_be_scheduled(
    app: FluxQueue, work: Any, client: RedisClient
) -> None:
    app.periodic(every=5, id="a")(work)
    [made] = work.periodic
    arguments = [b"declare", b"60000", *made.scheduled(declared=True)]
    assert app.broker.producer.schedule(QUEUE, arguments) == ["added"]
    with pytest.raises(ConfigurationError, match="a worker declares the periodic task 'a'"):
        app.schedule("a", work.call(1), every=5)
    with pytest.raises(ConfigurationError, match="a worker declares the periodic task 'a'"):
        app.unschedule("a", queue=QUEUE)
    assert control.remove(client, QUEUE, "a") == "declared"
    shown = control.show(client, QUEUE, "a")
    assert shown is not None and shown.declared
