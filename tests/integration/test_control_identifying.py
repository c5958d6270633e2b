"""Lists, searches and jobs choose tasks by the beginning of their ids, and by their headers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fluxqueue_control import jobs
from fluxqueue_control.finished import read_finished
from fluxqueue_control.jobs import Selection
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.search import Query, search, search_finished
from fluxqueue_core import dead_reason, key
from fluxqueue_core.task_ids import read_task_id
from support.operator_commands import objects, run, task_id
from support.scripts import DAY, Outcome, Scripts, field, message

ACME = {"tenant": "acme"}


def call(number: int, tenant: str) -> bytes:
    # An argument with the same text does not count.
    body = message(number, args=json.dumps([{"tenant": "acme", "id": task_id(1)}]).encode())
    return body[:-1] + b',"headers":{"team":"x","tenant":"%s"}}' % tenant.encode()


@pytest.fixture
def everywhere(scripts: Scripts) -> Scripts:
    scripts.redis.sadd(key("queues"), "q")
    soon = scripts.now() + DAY
    scripts.redis.zadd(
        scripts.key("delayed"), {call(0x2A1, "acme"): soon, call(0x2A2, "other"): soon}
    )
    dead = [call(0x3A1, "acme"), call(0x3A2, "other")]
    scripts.claim("c", call(0x4A1, "acme"), call(0x4A2, "other"), *dead)
    why = dead_reason("failed", "KeyError: 1")
    scripts.exchange("c", outcomes=[Outcome(field(raw), "dead", why, "1") for raw in dead])
    scripts.enqueue(call(0x1A1, "acme"), call(0x1A2, "other"))
    return scripts


def found(control: RedisClient, **words: Any) -> list[int]:
    hits = search(control, "q", Query(**words))
    return sorted(int(task.task_id[-12:], 16) for each in hits for task in each.tasks)


def numbers(lines: list[Any]) -> list[int]:
    return sorted(int(line["task_id"][-12:], 16) for line in lines if "task_id" in line)


@pytest.mark.usefixtures("everywhere")
def test_a_search_takes_an_id_its_beginning_and_headers(control: RedisClient) -> None:
    assert found(control, id=task_id(0x1A1)[:-3] + "*") == [
        *(0x1A1, 0x1A2, 0x2A1, 0x2A2, 0x3A1, 0x3A2, 0x4A1, 0x4A2)
    ]
    assert found(control, id=task_id(0x3A1)[:-1] + "*") == [0x3A1, 0x3A2]
    assert found(control, id=task_id(0x3A1).upper()) == [0x3A1]
    # All messages have this id in an argument.
    assert found(control, id=task_id(1)) == []
    assert found(control, headers=ACME) == [0x1A1, 0x2A1, 0x3A1, 0x4A1]
    assert found(control, headers={**ACME, "team": "x"}, name="n") == [0x1A1, 0x2A1, 0x3A1, 0x4A1]
    assert found(control, headers={"tenant": "acme", "team": "y"}) == []
    assert found(control, headers=ACME, id=task_id(0x2A1)[:-2] + "*") == [0x2A1]


@pytest.mark.parametrize(
    ("verb", "part", "first"),
    [
        ("replay", "dead", 0x3A1),
        ("delete", "dead", 0x3A1),
        ("replay", "delayed", 0x2A1),
        ("delete", "waiting", 0x1A1),
        ("move", "waiting", 0x1A1),
        ("cancel", "running", 0x4A1),
    ],
)
@pytest.mark.parametrize("by", ["id", "beginning", "header"])
def test_a_job_changes_the_chosen_ones_only(
    everywhere: Scripts, control: RedisClient, verb: Any, part: Any, first: int, by: str
) -> None:
    selection = {
        "id": Selection(id=task_id(first)),
        "beginning": Selection(id=task_id(first)[:-1] + "*"),
        "header": Selection(headers=ACME),
    }[by]
    chosen = {first, first + 1} if by == "beginning" else {first}

    def states() -> dict[int, str]:
        hits = search(control, "q", Query())
        return {int(task.task_id[-12:], 16): task.state for each in hits for task in each.tasks}

    before = states()
    target = "other" if verb == "move" else ""
    job = jobs.start(control, "q", verb, part, selection, target=target)
    [*_, done] = jobs.run(lambda: control, "q", job)
    assert (done.seen, dict(done.outcome)) == (2, {"done": len(chosen)})
    shown = jobs.show(control, "q", job.id)
    assert shown is not None and shown.selection == selection
    if verb == "cancel":
        asked = everywhere.redis.zrange(everywhere.key("cancelled"), 0, -1)
        assert {int(each[-12:], 16) for each in asked} == chosen
        return
    after = states()
    assert {number for number in before if after.get(number) != before[number]} == chosen


def test_a_job_with_a_condition_of_a_later_release_is_not_resumed(
    everywhere: Scripts, control: RedisClient
) -> None:
    job = jobs.start(control, "q", "delete", "dead", Selection(task="n"))
    record = control.key("job", "q", job.id)
    everywhere.redis.hset(record, "selection", '{"task":"n","later":"x"}')
    assert jobs.show(control, "q", job.id) is None
    with pytest.raises(LookupError):
        next(jobs.resume(lambda: control, "q", job.id))
    assert len(everywhere.dead()) == 2


def test_finished_tasks_are_found_by_their_ids(scripts: Scripts, control: RedisClient) -> None:
    for number in (0x1A1, 0x1A2, 0x2A1):
        scripts.redis.set(scripts.key("result", task_id(number)), '{"state":"succeeded"}')
        end = scripts.now() + DAY + number
        scripts.redis.zadd(scripts.key("finished"), {f"{task_id(number)} n": end})

    def ids(**words: Any) -> list[int]:
        page = search_finished(control, "q", Query(**words))
        return [int(task.task_id[-12:], 16) for task in page.tasks]

    assert ids(id=task_id(0x1A1)[:-1] + "*") == [0x1A2, 0x1A1]
    assert ids(id=task_id(0x1A1)) == [0x1A1]
    assert ids(id=task_id(0x1A1), text=task_id(0x1A2)) == []
    assert ids(id=task_id(0x1A1), name="m") == [] and ids(headers=ACME) == []
    assert read_finished(control, "q", task_id="order-17").tasks == []


@pytest.mark.usefixtures("everywhere")
def test_the_commands_take_an_id_and_headers(redis_url: str) -> None:
    some, header = ["--id", task_id(0x3A1)[:-1] + "*"], ["--header", "tenant=acme"]
    for at, state in enumerate(("waiting", "delayed", "dead", "claimed"), 1):
        listed = objects(redis_url, "tasks", "-q", "q", "--state", state, *header)
        assert numbers(listed) == [at << 8 | 0xA1], state
    assert numbers(objects(redis_url, "tasks", "-q", "q", "--state", "dead", *some)) == [
        *(0x3A1, 0x3A2)
    ]
    assert numbers(objects(redis_url, "search", *some, *header)) == [0x3A1]
    assert numbers(objects(redis_url, "search", "--tag", "tenant=other")) == [
        *(0x1A2, 0x2A2, 0x3A2, 0x4A2)
    ]
    assert numbers(objects(redis_url, "dead", "list", "-q", "q", *header)) == [0x3A1]
    [dry] = objects(redis_url, "job", "start", "delete", "dead", "-q", "q", *header, "--dry-run")
    assert dry["outcome"] == {"chosen": 1} and dry["selection"] == {"headers": ACME}
    [dry] = objects(redis_url, "job", "start", "delete", "dead", "-q", "q", *some, "--dry-run")
    assert dry["outcome"] == {"chosen": 2} and dry["selection"] == {"id": some[1]}
    for name, count in (("n*", 2), ("n", 2), ("m*", 0)):
        listed = objects(redis_url, "dead", "list", "-q", "q", "--task", name)
        assert len(listed) == count, name
        words = ["delete", "dead", "-q", "q", "--task", name, "--dry-run"]
        assert objects(redis_url, "job", "start", *words)[0]["outcome"].get("chosen", 0) == count
    replayed = objects(redis_url, "dead", "replay", "-q", "q", *some, *header)
    assert numbers(replayed) == [0x3A1]
    assert numbers(objects(redis_url, "dead", "delete", "-q", "q", *some)) == [0x3A2]


def test_the_text_of_a_call_finds_its_task(scripts: Scripts, redis_url: str) -> None:
    scripts.redis.sadd(key("queues"), "q")
    named = read_task_id("order-17")
    scripts.enqueue(message(1).replace(task_id(1).encode(), named.encode()), message(2))
    [task, _] = objects(redis_url, "tasks", "-q", "q", "--id", "order-17")
    assert task["task_id"] == named
    out, _ = run(redis_url, "job", "start", "delete", "waiting", "-q", "q", "--id", "order-17")
    assert out == "done: 2 seen, 1 done\n"
    assert scripts.list("pending") == [message(2)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tasks", "--id", "x*"], "no id begins with 'x'"),
        (["job", "start", "delete", "dead", "--id", "*"], "no id begins with ''"),
        (["dead", "replay", "--header", "tenant"], "'tenant' is not NAME=VALUE"),
        (["search", "--header", "=acme"], "'=acme' is not NAME=VALUE"),
        (["tasks", "--state", "finished", "--header", "a=b"], "no headers of finished tasks"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(
    redis_url: str, words: list[str], said: str
) -> None:
    _, error = run(redis_url, *words, code=2)
    assert said in error and error.count("\n") == 1
