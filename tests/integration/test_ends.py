"""Each end of a task does what its row of the table in docs/protocol.md says.

The table is read here. Real processes bring each end about; the scripts show what it frees.
"""

from __future__ import annotations

import json
from pathlib import Path
from secrets import randbits
from typing import Any

import pytest
from fluxqueue_core import key
from redis import Redis
from support.ends import APP, bring_about, of_end, table
from support.outcomes import channel
from support.scheduler_process import SchedulerProcess
from support.scripts import Outcome, Scripts, field
from support.waiting import wait_until
from support.worker_process import WorkerProcess

ROWS = table()
CALLBACK = b',"on_failure":{"name":"alert","queue":"alerts"}'
REASON = b'{"reason":"failed","error":"e"}'


def test_the_table_has_every_column_filled() -> None:
    assert len(ROWS) >= 14
    for end, row in ROWS.items():
        assert row.when and row.counted and row.frees and row.stores, end
        assert row.frees <= {"field", "cancel", "lock", "digest"}, end
        assert row.stores <= {"result", "dead set"}, end
        assert ("channel" in row.tells) == ("result" in row.stores), end
        # The log has one event.
        assert len(row.tells - {"channel"}) == 1, end


@pytest.mark.parametrize("end", ROWS)
def test_an_end_counts_stores_tells_and_calls_back_as_its_row_says(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts, end: str
) -> None:
    row = ROWS[end]
    # Channels know no database: another test must not have the id.
    raw = of_end(end, options='"r":60000', members=CALLBACK, number=randbits(48))
    task_id = raw[13:49].decode()
    redis.sadd(key("queues"), "q")
    [event] = row.tells - {"channel"}
    subscribed: Any = redis.pubsub  # without types in redis-py
    with subscribed() as listener:
        listener.subscribe(channel(task_id, "q"))
        wait_until(lambda: listener.get_message(timeout=1) is not None)
        bring_about(scripts, end, raw)
        with (
            WorkerProcess(tmp_path, redis_url, APP, queue="q", unknown_task_grace=0) as worker,
            SchedulerProcess(tmp_path, redis_url, lease=1) as scheduler,
        ):
            process = scheduler if event.startswith("consumer.") else worker
            process.wait_for(event)
            wait_until(lambda: scripts.stats().get(row.counted) == 1)
            assert worker.stop() == 0
        told = []
        # Each message that was published before the end of the worker is in the socket.
        while (news := listener.get_message(timeout=0.1)) is not None:
            told.append(news["data"])
    ended = [line["event"] for line in worker.lines if line["event"] in EVENTS]
    assert ended == ([event] if process is worker else [])

    assert scripts.stats() == {row.counted: 1}
    result = redis.get(key("result", "q", task_id))
    assert (result is not None) == ("result" in row.stores)
    assert result is None or json.loads(result)["state"] == end
    assert told == ([result] if "channel" in row.tells else [])
    dead = [json.loads(reason)["reason"] for _, reason in scripts.dead().values()]
    assert dead == ([end] if "dead set" in row.stores else [])
    calls = redis.lrange(key("pending", "alerts"), 0, -1)
    assert [json.loads(call)["args"][0]["reason"] for call in calls] == [end] * row.calls_back
    # Nothing of the task is left anywhere else.
    assert scripts.list("pending") == scripts.list("suspects") == []
    assert scripts.delayed() == {} and scripts.cancelled() == set()
    assert not redis.keys("*:claimed:*") and not redis.keys("*:inbox:*")
    assert not redis.exists(scripts.key("newer"))


EVENTS = {event for row in ROWS.values() for event in row.tells - {"channel"}}


def test_a_worker_that_discards_failures_stores_the_other_dead(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts
) -> None:
    redis.sadd(key("queues"), "q")
    # The lost worker claims its task first.
    for number, end in enumerate(sorted(ROWS, key=lambda end: end != "worker_lost")):
        bring_about(scripts, end, of_end(end, number=number))
    with (
        WorkerProcess(
            tmp_path, redis_url, APP, queue="q", unknown_task_grace=0, no_save_dead_tasks=True
        ) as worker,
        SchedulerProcess(tmp_path, redis_url, lease=1),
    ):
        wait_until(lambda: sum(scripts.stats().get(c, 0) for c in COUNTERS) == len(ROWS))
        assert worker.stop() == 0
    dead = {json.loads(reason)["reason"] for _, reason in scripts.dead().values()}
    kept = {end for end, row in ROWS.items() if "dead set" in row.stores and not row.is_failure}
    assert dead == kept
    assert not redis.keys("*:result:*")


COUNTERS = {row.counted for row in ROWS.values()}


LOCK = key("unique", "q", "0123456789abcdef")


@pytest.mark.versions
@pytest.mark.parametrize("end", ROWS)
def test_the_scripts_free_what_the_row_says(scripts: Scripts, end: str) -> None:
    raw = of_end(end, options='"u":"0123456789abcdef:60000"')
    held = ["c", "lost"]
    if end == "unknown_version":
        scripts.open("c")
        scripts.enqueue(raw)
        scripts.exchange("c", 1)  # puts it off
        scripts.redis.zadd(scripts.key("delayed"), {raw: 1})
        scripts.promote()
    else:
        scripts.claim("c", raw)
        assert scripts.cancel(raw) == "requested"
        scripts.redis.hset(LOCK, "id", raw[13:49])

    def there() -> set[str]:
        found = {"field"} if any(scripts.held(consumer) for consumer in held) else set()
        found |= {"cancel"} if scripts.cancelled() else set()
        found |= {"lock"} if scripts.redis.exists(LOCK) else set()
        return found | ({"digest"} if scripts.redis.exists(scripts.key("newer")) else set())

    before = there()
    if end == "unknown_version":
        scripts.exchange("c", 1, grace=0)
    elif end == "worker_lost":
        scripts.end_lease("c")
        scripts.be_swept()
        scripts.bury("c")
        scripts.move("c", (field(raw), "dead", raw, REASON))
    else:
        kind = {"succeeded": "done", "expired": end, "cancelled": end}.get(end, "dead")
        scripts.exchange("c", outcomes=[Outcome(field(raw), kind, REASON, "1")])
    assert before == ROWS[end].frees and there() == set()
    assert scripts.stats() == {ROWS[end].counted: 1}
