"""Finished tasks are listed while their outcomes are kept, and plain ones leave no trace."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control import tasks
from fluxqueue_control.finished import FinishedTask, read_finished, show_finished
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import key, script_keys
from support.monitored import monitored
from support.operator_commands import objects, run, task_id
from support.scripts import LEASE, Outcome, Scripts, field, message
from support.waiting import wait_until

pytestmark = pytest.mark.versions
KEPT = '{"r":60000}'
GOOD = b'{"state":"succeeded","value":3,"attempts":2,"enqueued":1000,"started":2000,"finished":3000'
BAD = b'{"state":"failed","error":{"type":"KeyError","text":"\'a\'"},"attempts":1,"finished":3000}'


def end(scripts: Scripts, raw: bytes, outcome: bytes, ttl: int = 60_000, kind: str = "done") -> Any:
    """Ends a task as a worker does, with its outcome as an effect."""
    scripts.claim("c", raw)
    rows: list[Any] = []
    if outcome:
        rows = [len(script_keys("exchange", "q", "c")) + 1, "keep", outcome, ttl]
    rows += Outcome(field(raw), kind, b'{"reason":"failed"}' if kind == "dead" else b"", "1")
    words = ["c", LEASE, 0, "pending", 1, 1_000, 0, *rows]
    results = [raw[13:49].decode()] if outcome else []
    return scripts.call("exchange", words, "c", results=results)


@pytest.fixture
def ended(scripts: Scripts) -> Scripts:
    good = GOOD + b',"worker":"h:7"}'
    end(scripts, message(1, opts=KEPT, name="shop.ship"), good, ttl=40_000)
    end(scripts, message(2, opts=KEPT, name="shop.mail"), BAD, ttl=60_000, kind="dead")
    end(scripts, message(3, opts=KEPT, name="other"), good, ttl=50_000)
    return scripts


def names(found: Any) -> list[str]:
    return [task.name for task in found]


def test_finished_tasks_are_listed_page_by_page(ended: Scripts, control: RedisClient) -> None:
    page = read_finished(control, "q", limit=2)
    assert names(page.tasks) == ["shop.mail", "other"] and page.looked == 2
    rest = read_finished(control, "q", page.cursor)
    assert names(rest.tasks) == ["shop.ship"] and rest.cursor is None
    now = ended.now() / 1_000
    [task] = rest.tasks
    assert 0 < task.kept_until - now < 41
    assert task == FinishedTask(
        *(message(1)[13:49].decode(), "shop.ship", "succeeded", task.kept_until, None, 2),
        *(1.0, 2.0, 3.0, "h:7"),
    )
    assert page.tasks[0].error == "KeyError: 'a'"
    # The last one of the page is gone: the next page goes on where it was.
    ended.redis.zrem(ended.key("finished"), message(3)[13:49] + b" other")
    assert names(read_finished(control, "q", page.cursor).tasks) == ["shop.ship"]


@pytest.mark.usefixtures("ended")
def test_they_are_chosen_by_name_and_outcome(control: RedisClient) -> None:
    def chosen(**by: str) -> list[str]:
        return names(read_finished(control, "q", **by).tasks)  # type: ignore[arg-type]

    assert chosen(name="shop.*") == ["shop.mail", "shop.ship"]
    assert chosen(name="other") == ["other"] and chosen(name="shop") == []
    assert chosen(outcome="failed") == ["shop.mail"]
    found = show_finished(control, "q", message(3)[13:49].decode())
    assert found is not None and (found.name, found.outcome) == ("other", "succeeded")
    assert show_finished(control, "q", message(9)[13:49].decode()) is None


def test_a_page_ends_in_time_and_reads_only_what_it_asks_for(
    ended: Scripts, control: RedisClient
) -> None:
    later = ended.now() + 3_600_000
    others = {f"{task_id(number)} other": later + number for number in range(10, 1_210)}
    ended.redis.zadd(ended.key("finished"), others)
    found, cursor, pages = [], None, 0
    with monitored(ended.redis) as commands:
        while pages == 0 or cursor is not None:
            page = read_finished(control, "q", cursor, name="shop.*", seconds=0)
            found += names(page.tasks)
            cursor, pages = page.cursor, pages + 1
    assert found == ["shop.mail", "shop.ship"] and pages > 2
    read = [each for each in commands.plain if each.startswith("GETRANGE ")]
    assert len(read) == 2, read


def test_one_of_many_is_found_in_small_calls(ended: Scripts, control: RedisClient) -> None:
    others = {f"{task_id(number)} other": 1 for number in range(10, 5_010)}
    ended.redis.zadd(ended.key("finished"), others)
    with monitored(ended.redis) as commands:
        found = show_finished(control, "q", task_id(1))
    assert found is not None and found.name == "shop.ship"
    steps = [int(each.split()[-1]) for each in commands.plain if each.startswith("ZSCAN ")]
    assert steps and max(steps) <= 1_000
    with monitored(ended.redis) as commands:
        assert show_finished(control, "q", task_id(10)) is None
    assert not any(each.startswith("ZSCAN ") for each in commands.plain)


@pytest.mark.usefixtures("ended")
def test_the_command_shows_a_task_of_which_only_the_outcome_is_left(redis_url: str) -> None:
    [shown] = objects(redis_url, "task", "-q", "q", task_id(1))
    words = ("--state", "finished", "--task", "shop.ship")
    assert shown == objects(redis_url, "tasks", "-q", "q", *words)[0]
    out, _ = run(redis_url, "task", "-q", "q", task_id(1))
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert (lines["state"], lines["outcome"], lines["attempts"]) == ("finished", "succeeded", "2")
    assert lines["kept"].startswith("for ") and lines["finished"].endswith(" ago")
    # One that is dead is in the dead set, with its arguments.
    [dead] = objects(redis_url, "task", "-q", "q", task_id(2))
    assert (dead["state"], dead["name"]) == ("dead", "shop.mail")
    run(redis_url, "task", "-q", "q", task_id(1), "--delete", code=1)


def test_a_cursor_is_checked(control: RedisClient) -> None:
    for wrong in ("", "x", "1:", "nan:00"):
        with pytest.raises(ValueError, match="cursor of finished"):
            read_finished(control, "q", wrong)


def test_an_outcome_that_is_gone_is_not_listed(ended: Scripts, control: RedisClient) -> None:
    ended.redis.delete(ended.key("result", message(1)[13:49].decode()))
    progress = b'{"progress":{"done":1,"total":2,"note":"","at":1}}'
    ended.redis.set(ended.key("result", message(2)[13:49].decode()), progress)
    large = b'{"state":"succeeded","value":"' + b"x" * 20_000 + b'"}'
    ended.redis.set(ended.key("result", message(3)[13:49].decode()), large)
    [task] = read_finished(control, "q").tasks
    assert (task.name, task.outcome, task.attempts) == ("other", "succeeded", None)


def test_the_index_is_as_old_as_its_outcomes(scripts: Scripts, redis: Any) -> None:
    index = scripts.key("finished")
    end(scripts, message(1, opts=KEPT), GOOD, ttl=60_000)
    end(scripts, message(2, opts=KEPT), GOOD, ttl=1_000)
    # It lives until the outcome ends that is kept longest.
    assert 1_000 < redis.pttl(index) <= 60_000 and redis.zcard(index) == 2
    redis.zadd(index, dict.fromkeys(redis.zrange(index, 0, -1), 1))
    end(scripts, message(3, opts=KEPT), GOOD, ttl=50)
    wait_until(lambda: not redis.exists(index))


def test_the_index_has_a_bound(scripts: Scripts, redis: Any) -> None:
    index, later = scripts.key("finished"), scripts.now() + 1_000
    redis.zadd(index, {f"{number}": later + number for number in range(10_500)})
    end(scripts, message(1, opts=KEPT), GOOD)
    assert redis.zcard(index) == 10_000 and redis.zscore(index, "0") is None


def test_a_plain_task_leaves_no_trace(scripts: Scripts, redis: Any) -> None:
    end(scripts, message(1), b"")
    end(scripts, message(2, opts='{"p":5}'), b"")
    assert redis.keys("*finished*") == []


def test_an_index_of_another_type_ends_no_less(scripts: Scripts, redis: Any) -> None:
    redis.set(scripts.key("finished"), "text")
    end(scripts, message(1, opts=KEPT), GOOD)
    assert scripts.held("c") == {} and scripts.stats() == {"succeeded": 1}
    assert redis.get(scripts.key("result", message(1)[13:49].decode())) == GOOD


def test_a_deleted_and_a_cancelled_task_are_listed(control: RedisClient, redis_url: str) -> None:
    app = FluxQueue(redis_url)
    work = app.declare("work", queue="q", result_ttl=60)
    deleted, cancelled = work.enqueue(1), work.enqueue(2)
    assert tasks.delete(control, "q", deleted.id) == "deleted"
    assert cancelled.cancel() == "cancelled"
    found = {task.task_id: task for task in read_finished(control, "q").tasks}
    assert found.keys() == {deleted.id, cancelled.id}
    assert {(task.name, task.outcome) for task in found.values()} == {("work", "cancelled")}
    app.close()


def test_the_commands_list_and_search_them(ended: Scripts, redis: Any, redis_url: str) -> None:
    redis.sadd(key("queues"), "q")
    *found, last = objects(redis_url, "tasks", "-q", "q", "--state", "finished", "--task", "shop.*")
    assert [task["name"] for task in found] == ["shop.mail", "shop.ship"] and not last["cursor"]
    assert found[0]["outcome"] == "failed" and found[0]["error"] == "KeyError: 'a'"
    *found, _ = objects(redis_url, "search", message(3)[13:49].decode())
    assert [(task["state"], task["name"]) for task in found] == [("finished", "other")]
    *found, _ = objects(redis_url, "search", "--task", "shop.ship")
    assert [(task["state"], task["name"]) for task in found] == [("finished", "shop.ship")]
    *found, _ = objects(redis_url, "search", "--arg", "0=1", "--task", "shop.ship", code=1)
    assert found == []
    *found, _ = objects(redis_url, "search", "--exception", "KeyError", code=1)
    assert found == []
    both = message(3)[13:49].decode(), "--task", "shop.ship"
    *found, _ = objects(redis_url, "search", *both, code=1)
    assert found == []


def test_an_argument_is_searched_for_as_the_call_gave_it(redis_url: str, redis: Any) -> None:
    app = FluxQueue(redis_url)
    ship = app.declare("ship", queue="q")
    named, placed, member = (
        ship.enqueue(order_id=17).id,
        ship.enqueue(17).id,
        ship.enqueue({"order_id": 17}).id,
    )
    app.close()
    redis.sadd(key("queues"), "q")
    *found, _ = objects(redis_url, "search", "--arg", "order_id=17")
    assert {task["task_id"] for task in found} == {named, member}
    *found, _ = objects(redis_url, "search", "--arg", "0=17")
    assert {task["task_id"] for task in found} == {placed}
